import { createHash } from "node:crypto";

import type { FastifyBaseLogger } from "fastify";

import { AirError } from "../errors/air-error.js";
import type { RoutedResult } from "../tiers/routed-reply.js";
import type { RoutedOptions } from "../tiers/runtime-types.js";
import type { TierInput } from "../tiers/tier.js";
import { without } from "../util/options.js";
import {
  type AnswerFigures,
  type CanaryThresholds,
  reasonToRollBack,
  type VersionFigures,
  VersionTally,
} from "./canary-figures.js";
import { completionTokens } from "./reply-parts.js";
import type { ServedRuntime } from "./served-runtime.js";
import { plainReply, type SwitchedReply, switchReply } from "./switched-reply.js";

/** A second version of what is served, on trial. */
export interface CanaryOptions extends Partial<CanaryThresholds> {
  /** What answers in place of the served runtime; it should have tiers of the same names. It stays its maker's. */
  readonly runtime: ServedRuntime;
  /** Part of the requests that it gets, above 0 and up to 0.5; as many others are measured to compare. Default 0.05. */
  readonly share?: number;
  /** Called once when it is taken back. Its requests may be under way still. */
  readonly onRollback?: (reason: string) => void;
}

/** How a trial goes. */
export interface CanaryReport {
  readonly state: "running" | "rolled_back";
  readonly share: number;
  /** Why it was taken back. */
  readonly reason: string | null;
  readonly thresholds: CanaryThresholds;
  /** Of the requests that were measured to compare. */
  readonly current: VersionFigures;
  readonly candidate: VersionFigures;
}

/** Which version a request gets, and whether it is measured. */
export type Lane = "candidate" | "control" | "neither";

/** Errors that a client causes; they tell nothing about a version. */
const clientCodes: ReadonlySet<string> = new Set([
  ...["AIR_ERR_ARGUMENT", "AIR_ERR_CONTEXT", "AIR_ERR_CANCELLED", "AIR_ERR_TEMPLATE", "AIR_ERR_UNSUPPORTED"],
  "AIR_ERR_CLOSED",
]);

/**
 * Where a request is, from 0 to 1, by a hash of how it begins: a conversation stays with one version, and finds what it
 * computed before there.
 */
export function placeOf(input: TierInput, salt: string): number {
  const first = typeof input === "string" ? -1 : input.findIndex(({ role }) => role !== "system");
  const beginning =
    typeof input === "string" ? input : input.slice(0, first + 1).map(({ role, content }) => [role, content]);
  const hash = createHash("sha256")
    .update(JSON.stringify([salt, beginning]))
    .digest();
  return hash.readUInt32BE(0) / 2 ** 32;
}

function figuresOf(result: RoutedResult): AnswerFigures {
  const { timings, logprobs = [] } = result;
  const tokens = completionTokens(result);
  const sum = logprobs.reduce((total, { logprob }) => total + Math.max(-100, logprob), 0);
  return {
    meanLogprob: logprobs.length > 0 ? sum / logprobs.length : undefined,
    firstTokenMs: timings.timeToFirstTokenMs,
    tokenMs: tokens > 1 ? timings.decodeMs / (tokens - 1) : undefined,
  };
}

/** Sends a share of the requests to a second version, compares, and takes it back where it does worse. */
export class Canary {
  readonly #current: ServedRuntime;
  readonly #options: CanaryOptions;
  readonly #thresholds: CanaryThresholds;
  readonly #share: number;
  readonly #logger: FastifyBaseLogger | undefined;
  readonly #tallies = { control: new VersionTally(), candidate: new VersionTally() };
  #reason: string | undefined;

  constructor(current: ServedRuntime, options: CanaryOptions, logger?: FastifyBaseLogger) {
    const { share = 0.05, minRequests = 50, maxLogprobDrop = 0.2 } = options;
    const { maxLatencyRatio = 1.5, maxFailureRate = 0.05 } = options;
    this.#current = current;
    this.#options = options;
    this.#share = share;
    this.#thresholds = { minRequests, maxLogprobDrop, maxLatencyRatio, maxFailureRate };
    this.#logger = logger;
  }

  get report(): CanaryReport {
    const { control, candidate } = this.#tallies;
    return {
      state: this.#reason === undefined ? "running" : "rolled_back",
      share: this.#reason === undefined ? this.#share : 0,
      reason: this.#reason ?? null,
      thresholds: this.#thresholds,
      current: control.figures,
      candidate: candidate.figures,
    };
  }

  /** Which version a request gets. */
  laneOf(input: TierInput, { tier, minTier, maxTier, cacheSalt = "" }: RoutedOptions): Lane {
    if (this.#reason !== undefined) return "neither";
    const { tierNames } = this.#options.runtime;
    const named = [tier, minTier, maxTier].filter((name) => name !== undefined);
    if (!named.every((name) => tierNames.includes(name))) return "neither";
    const place = placeOf(input, cacheSalt);
    if (place < this.#share) return "candidate";
    return place < 2 * this.#share ? "control" : "neither";
  }

  /** Answers a request by the version that it gets. What the candidate fails at, the current version answers. */
  generate(input: TierInput, options: RoutedOptions): SwitchedReply {
    const lane = this.laneOf(input, options);
    if (lane === "neither") return plainReply(this.#current, input, options);
    const measured = (runtime: ServedRuntime, tally: VersionTally) => ({
      runtime,
      generate: () => {
        const reply = runtime.generate(input, { ...options, logprobs: options.logprobs ?? 0 });
        reply.result.then(
          (result) => {
            if (result.finishReason !== "abort") tally.answered(figuresOf(result));
            this.#judge();
          },
          (error: unknown) => {
            if (!(error instanceof AirError) || !clientCodes.has(error.code)) tally.failed();
            this.#judge();
          },
        );
        return reply;
      },
    });
    const asAsked =
      options.logprobs === undefined
        ? <Part extends { readonly logprobs?: unknown }>(part: Part) => without(part, ["logprobs"]) as Part
        : undefined;
    const { control, candidate } = this.#tallies;
    if (lane === "control") return switchReply([measured(this.#current, control)], asAsked);
    const plain = { runtime: this.#current, generate: () => this.#current.generate(input, options) };
    return switchReply([measured(this.#options.runtime, candidate), plain], asAsked);
  }

  #judge(): void {
    if (this.#reason !== undefined) return;
    const { control, candidate } = this.#tallies;
    this.#reason = reasonToRollBack(control, candidate, this.#thresholds);
    if (this.#reason === undefined) return;
    this.#logger?.error({ reason: this.#reason }, "the canary is taken back");
    this.#options.onRollback?.(this.#reason);
  }
}
