import type { ChatMessage } from "../model/chat-template.js";
import type { TierState } from "../routing/decision.js";
import type { Generation } from "../runtime/generation.js";
import type { GenerateOptions } from "../runtime/options.js";
import type { BreakerState } from "./circuit-breaker.js";

/** Raw text to continue, or messages for the chat template. */
export type TierInput = string | readonly ChatMessage[];

/** What a request brings to a tier besides the options of generate(). */
export interface TierRequest {
  readonly input: TierInput;
  readonly options: GenerateOptions;
  /** See SessionOptions. */
  readonly cacheSalt?: string | undefined;
}

/** An answer that a tier is at work on. */
export interface OpenAnswer {
  readonly generation: Generation;
  /** Gives the turn back once the generation has settled. */
  release(): void;
}

/** Counters of a tier since it was made. */
export interface TierStats {
  readonly requests: number;
  readonly failures: number;
  readonly loads: number;
  readonly unloads: number;
  /** Whether requests are kept away from it, as it keeps failing. */
  readonly breaker: BreakerState;
  /** Requests that are computed, and that wait for their turn, now. */
  readonly active: number;
  readonly waiting: number;
}

/** A model that answers requests, here or elsewhere. */
export interface Tier {
  readonly name: string;
  readonly kind: "local" | "remote";
  /** What the policy has to know, as of now. */
  state(): TierState;
  stats(): TierStats;
  /** Whether it would refuse a request, and say why: too many wait already, or it keeps failing. */
  readonly refusesNow: boolean;
  /**
   * Waits for the request's turn, loads the model if need be, and starts the answer.
   *
   * @throws {AirError} AIR_ERR_OVERLOADED, AIR_ERR_CLOSED, AIR_ERR_CANCELLED when the signal aborts; as loadModel() and
   *   session.generate() do; what opened the breaker, while it is open
   */
  open(request: TierRequest): Promise<OpenAnswer>;
  close(): Promise<void>;
}
