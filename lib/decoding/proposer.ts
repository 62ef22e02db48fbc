import type { TokenHistory } from "./penalties.js";

/** Where guesses come from. */
export type ProposerName = "ngram" | "draft-model";

/** Guesses of the tokens that come next. */
export interface Draft {
  readonly tokens: readonly number[];
  /** Distributions that the tokens were drawn from, [vocabSize] each; without them every token was certain. */
  readonly distributions?: readonly Float32Array[];
  /** The probability that the proposer gave each token, where it knows. */
  readonly confidence?: readonly number[];
  /** Milliseconds that drafting took; undefined where there is nothing to measure, or other work was part of it. */
  readonly ms?: number;
}

/** How far to draft. */
export interface DraftRequest {
  /** Most tokens; at least 1. */
  readonly limit: number;
  /** Drafting stops once the product of the tokens' probabilities is below this, where the proposer knows them. */
  readonly minConfidence: number;
}

/** What a proposer can do for the text as it is. */
export interface Prospect {
  /** Class of the guesses, from 0: those of one class are accepted about equally often. */
  readonly strength: number;
  /** Most tokens that it can guess. */
  readonly limit: number;
}

/** Guesses what comes next in one text at a time. */
export interface Proposer {
  readonly name: ProposerName;
  /** How many classes of guesses there are. */
  readonly strengths: number;
  /** Whether guessing takes time worth counting. */
  readonly isFree: boolean;
  /** Takes note of a new text. */
  begin(prompt: ArrayLike<number>): void;
  /** What propose() could do for this text, which has only grown since begin(); undefined when it has no guess. */
  look(text: TokenHistory): Prospect | undefined;
  /** Guesses what follows the text that look() saw; no tokens when it cannot yet. */
  propose(text: TokenHistory, request: DraftRequest): Draft | Promise<Draft>;
  /** Makes a propose() in progress settle soon; its result is not used. */
  cancel(): void;
}
