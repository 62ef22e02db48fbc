import { z } from "zod";

import { AirError } from "../errors/air-error.js";
import { integerFrom } from "../util/options.js";
import {
  breakerShape,
  type BreakerPass,
  type BreakerSettings,
  type BreakerState,
  CircuitBreaker,
} from "./circuit-breaker.js";

/** When the breaker of a local tier opens, and for how long. */
export interface TierBreakerSettings extends BreakerSettings {
  /** An answer whose first token comes later than this, counted from its turn, is a failure. Default: none is. */
  readonly slowMs?: number | undefined;
}

/** Validates {@link TierBreakerSettings} and fills in defaults. */
export const tierBreakerSchema = z.strictObject(
  { ...breakerShape, slowMs: integerFrom(1, 86_400_000).optional() },
  "an object",
);

/** What is wrong with the tier, and not with a request or with how many there are. */
const faults: ReadonlySet<string> = new Set([
  ...["AIR_ERR_IO", "AIR_ERR_MODEL_FORMAT", "AIR_ERR_TOKENIZER", "AIR_ERR_HEADS_FILE"],
  ...["AIR_ERR_OUT_OF_MEMORY", "AIR_ERR_NO_DEVICE", "AIR_ERR_ADDON", "AIR_ERR_INTERNAL"],
]);

/** Spares a local model that fails, or is too slow, from further requests for a while, and those from waiting for it. */
export class TierBreaker {
  readonly #name: string;
  readonly #slowMs: number;
  readonly #breaker: CircuitBreaker;
  #lastFault: AirError | undefined;

  /** @param now - milliseconds of a clock that never goes back */
  constructor(name: string, { slowMs = Infinity, ...settings }: TierBreakerSettings, now: () => number) {
    this.#name = name;
    this.#slowMs = slowMs;
    this.#breaker = new CircuitBreaker(settings, now);
  }

  get state(): BreakerState {
    return this.#breaker.state;
  }

  /** Whether enter() would let a request through. */
  get isAdmitting(): boolean {
    return this.#breaker.isAdmitting;
  }

  /** Lets a request through. @throws {AirError} with the code of what opened the breaker */
  enter(): BreakerPass {
    const pass = this.#breaker.enter();
    if (pass !== undefined) return pass;
    const seconds = Math.max(1, Math.ceil(this.#breaker.retryInMs / 1000));
    throw new AirError(
      this.#lastFault?.code ?? "AIR_ERR_OVERLOADED",
      `expected answers from tier ${this.#name} but received failures, the last one: ${this.#lastFault?.message ?? ""}; ` +
        `it may be tried again in ${seconds} s`,
      { cause: this.#lastFault },
    );
  }

  /** An answer came to its end; its first token took so long. */
  answered(pass: BreakerPass, firstTokenMs = 0): void {
    if (firstTokenMs <= this.#slowMs) {
      pass.completed();
      return;
    }
    this.#lastFault = new AirError(
      "AIR_ERR_OVERLOADED",
      `expected a first token within ${this.#slowMs} ms but received it after ${Math.round(firstTokenMs)} ms`,
    );
    pass.failed();
  }

  /** A request failed: because of the tier, or for reasons of its own. */
  failed(pass: BreakerPass, error: unknown): void {
    if (!(error instanceof AirError) || !faults.has(error.code)) {
      pass.released();
      return;
    }
    this.#lastFault = error;
    pass.failed();
  }

  /** The model was loaded anew: the next request may try it at once. */
  allowTrial(): void {
    this.#breaker.allowTrial();
  }
}
