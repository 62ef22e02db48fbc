import { defaultLadders, type HeldPressures, PressureGate } from "../routing/pressure-levels.js";
import type { ResolvedConfig } from "./config.js";

/** What a {@link PressureWatch} asks and tells. */
export interface PressureWatchHooks {
  /** Requests that wait, of those that may, 0 to 1. */
  readonly queue: () => number;
  /** Called when heat changes what may be computed with. */
  readonly onThrottle: (threadsFraction: number, batchFraction: number) => void;
}

/** The pressure that decisions are made under: sampled memory and heat, and the queue as it is. */
export class PressureWatch {
  readonly #hooks: PressureWatchHooks;
  readonly #queue = new PressureGate(defaultLadders.queue);
  readonly #memory = new PressureGate(defaultLadders.memory);
  readonly #heat = new PressureGate(defaultLadders.heat);

  constructor(
    _settings: ResolvedConfig["governor"],
    _memoryBytes: number | undefined,
    hooks: PressureWatchHooks,
  ) {
    this.#hooks = hooks;
  }

  held(): HeldPressures {
    const queue = this.#queue.update(this.#hooks.queue(), performance.now());
    return { memory: this.#memory.held, heat: this.#heat.held, queue };
  }

  stop(): void {
    // Nothing runs yet.
  }
}
