import type { AirError } from "../errors/air-error.js";
import type { Deferred } from "../util/deferred.js";

/** What a step did, for those who measure. */
export interface StepInfo {
  /** Milliseconds of the forward pass, the way to the engine thread and back included. */
  readonly ms: number;
  /** Rows of logits in the step, of all runs. */
  readonly rows: number;
  /** Tokens that the step computed, of all runs. */
  readonly tokens: number;
  readonly sequences: number;
}

/** How a run stands among the others. */
export interface RunTerms {
  /** Higher gets pages and prompt tokens before lower. Default 0. */
  readonly priority?: number;
  /** Prompts of different users take turns. Default: one user for all runs that name none. */
  readonly user?: string;
  /** When the run ends with AIR_ERR_TIMEOUT if it is not done, by the clock of performance.now(). Default: never. */
  readonly deadline?: number;
}

/** A run of a sequence: tokens to compute, and who takes the logits. */
export interface LogitsRequest extends RunTerms {
  /** The whole text so far; the K/V of the prefix that the sequence already has are reused. */
  readonly tokens: ArrayLike<number>;
  /** Logits are wanted for every token from this index on. */
  readonly logitsFrom: number;
  /**
   * Guesses of what follows the last known token, asked for before a step that would compute that token alone. The step
   * computes them too. Steps of all runs wait for the promise; it must not reject.
   */
  propose?(): readonly number[] | Promise<readonly number[]>;
  /**
   * Takes the logits of tokens firstIndex, firstIndex + 1, ... before the next step.
   *
   * @param logits - [rows, vocabSize]; valid, and free to overwrite, during the call
   * @returns the tokens that come next, in place of the guesses: as long as they equal those, there may be one for
   *   each row, and the K/V of the guesses are kept. None ends the run once every known token is computed
   */
  onLogits(logits: Float32Array, firstIndex: number, step: StepInfo): readonly number[];
}

/** A run of a sequence whose hidden states are wanted. */
export interface HiddenRequest extends RunTerms {
  /** As for {@link LogitsRequest}. */
  readonly tokens: ArrayLike<number>;
  /** Wanted for every token from this index on. */
  readonly hiddenFrom: number;
  /**
   * Takes the states of tokens firstIndex, firstIndex + 1, ... before the next step.
   *
   * @param hidden - [rows, embeddingLength], after the last norm; valid during the call
   */
  onHidden(hidden: Float32Array, firstIndex: number): void;
}

/** A run of a sequence that drafts: its likeliest tokens, fed back within one native call. */
export interface GreedyRequest extends RunTerms {
  /** As for {@link LogitsRequest}. */
  readonly tokens: ArrayLike<number>;
  /** Most tokens to draft, 1 to 1024; fewer when pages are short. */
  readonly count: number;
  /** Drafting stops once the product of the tokens' probabilities is below this. */
  readonly minConfidence: number;
  /** Takes the drafted tokens and the probability of each. */
  onDraft(tokens: readonly number[], confidence: readonly number[]): void;
}

/** What {@link Engine.run} runs. */
export type RunRequest = LogitsRequest | HiddenRequest | GreedyRequest;

/** A request on its way. */
export interface Run {
  readonly request: RunRequest;
  readonly ended: Deferred<undefined>;
  /** Whether propose() was asked for the coming step. */
  proposed: boolean;
  /** Why the run is to end with the current step. */
  cancelled?: AirError;
  /** Ends the run when its deadline has come. */
  timer?: NodeJS.Timeout;
}

/** Whether a request drafts. */
export function isGreedy(request: RunRequest): request is GreedyRequest {
  return "count" in request;
}

/** Whether a request wants hidden states. */
export function isHidden(request: RunRequest): request is HiddenRequest {
  return "onHidden" in request;
}

/** Index of the first token of which a request wants something. */
export function wantedFrom(request: RunRequest): number {
  if (isGreedy(request)) return request.tokens.length - 1;
  return isHidden(request) ? request.hiddenFrom : request.logitsFrom;
}
