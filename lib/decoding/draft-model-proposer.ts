import { AirError } from "../errors/air-error.js";
import { at } from "../util/array-access.js";
import type { TokenConstraint } from "./constraint.js";
import { extendHistory, type TokenHistory } from "./penalties.js";
import type { Draft, DraftRequest, Proposer, Prospect } from "./proposer.js";
import type { Sampler, TokenPicker } from "./sampler.js";

/** Tokens, and the draft model's probability of each. */
export interface GreedyDraft {
  readonly tokens: readonly number[];
  readonly confidence: readonly number[];
}

/** The draft model's side of one text; its engine implements this. */
export interface DraftText {
  /** Most tokens of a text that it can hold. */
  readonly contextTokens: number;
  /** How many of these tokens it has no K/V for. */
  missingTokens(tokens: ArrayLike<number>): number;
  /** Computes K/V for the tokens. */
  catchUp(tokens: ArrayLike<number>): Promise<void>;
  /** The likeliest continuation, within one native call. */
  draft(tokens: ArrayLike<number>, request: DraftRequest): Promise<GreedyDraft>;
  /**
   * Continues the tokens one by one: `choose` gets the logits after all of them, and returns the next token or undefined
   * to end.
   */
  sample(tokens: ArrayLike<number>, choose: (row: Float32Array) => number | undefined): Promise<void>;
  /** Makes what is in progress reject with AIR_ERR_CANCELLED. */
  cancel(): void;
}

/** How a draft model's tokens are chosen. */
export interface DraftModelOptions {
  readonly text: DraftText;
  /** Ids at or above it are not the target's: drafts end before one. */
  readonly vocabSize: number;
  /** Chooses as the target will; undefined drafts the likeliest tokens natively. */
  readonly sampler: Sampler | undefined;
  readonly constraint: TokenConstraint | undefined;
  /** Whether a token ends the text, so that nothing is worth drafting after it. */
  readonly isEnd: (token: number) => boolean;
  /** Replaces the sampler's draw, and has the distributions kept: for the rejection rule. */
  readonly pick: TokenPicker | undefined;
  /** Waits for the draft model to catch up with a long text, in the place of going on without drafts meanwhile. */
  readonly waits: boolean;
}

/** Up to this many tokens are computed along with the first draft token; more are caught up on in the background. */
const catchUpTokens = 64;
/** Time per draft token is measured when there is no more than this to catch up on: the last draft's end. */
const measurableTokens = 4;

/** Guesses with a smaller model that has the same vocabulary. */
export class DraftModelProposer implements Proposer {
  readonly name = "draft-model";
  readonly strengths = 1;
  readonly isFree = false;
  readonly #options: DraftModelOptions;
  readonly #tokens: number[] = [];
  #catchingUp: Promise<void> | undefined;
  #failure: unknown;

  constructor(options: DraftModelOptions) {
    this.#options = options;
  }

  begin(prompt: ArrayLike<number>): void {
    this.#tokens.length = 0;
    for (let index = 0; index < prompt.length; index += 1) this.#tokens.push(at(prompt, index));
  }

  look(text: TokenHistory): Prospect | undefined {
    for (let index = this.#tokens.length; index < text.length; index += 1)
      this.#tokens.push(text.token(index));
    const limit = this.#options.text.contextTokens - this.#tokens.length;
    return limit < 1 || this.#catchingUp !== undefined ? undefined : { strength: 0, limit };
  }

  async propose(_text: TokenHistory, request: DraftRequest): Promise<Draft> {
    const { text, sampler, waits } = this.#options;
    if (this.#failure !== undefined) throw toError(this.#failure);
    const missing = text.missingTokens(this.#tokens);
    if (missing > catchUpTokens && !waits) {
      this.#catchUp();
      return { tokens: [] };
    }
    const started = performance.now();
    const draft =
      sampler === undefined
        ? this.#useful(await text.draft(this.#tokens, request))
        : await this.#sample(sampler, request);
    return missing > measurableTokens ? draft : { ...draft, ms: performance.now() - started };
  }

  cancel(): void {
    this.#options.text.cancel();
  }

  /** The tokens up to the first that ends the text, and before the first that the target does not have. */
  #useful(draft: GreedyDraft): GreedyDraft {
    const { vocabSize, isEnd } = this.#options;
    const last = draft.tokens.findIndex((token) => token >= vocabSize || isEnd(token));
    if (last < 0) return draft;
    const end = at(draft.tokens, last) < vocabSize ? last + 1 : last;
    return { tokens: draft.tokens.slice(0, end), confidence: draft.confidence.slice(0, end) };
  }

  #catchUp(): void {
    this.#catchingUp = this.#options.text
      .catchUp([...this.#tokens])
      .catch((error: unknown) => {
        // A cancelled text is followed by another one, or by none.
        if (!(error instanceof AirError && error.code === "AIR_ERR_CANCELLED")) this.#failure = error;
      })
      .finally(() => {
        this.#catchingUp = undefined;
      });
  }

  async #sample(sampler: Sampler, { limit, minConfidence }: DraftRequest): Promise<Draft> {
    const { text, vocabSize, constraint, isEnd, pick } = this.#options;
    const known = this.#tokens;
    const tokens: number[] = [];
    const distributions: Float32Array[] = [];
    const confidence: number[] = [];
    let product = 1;
    const history = extendHistory({ length: known.length, token: (index) => at(known, index) }, tokens);
    const keep: TokenPicker | undefined =
      pick &&
      ((probabilities, position) => {
        distributions.push(probabilities.slice());
        return pick(probabilities, position);
      });
    let followed = 0;
    try {
      await text.sample(known, (padded) => {
        const row = padded.subarray(0, vocabSize);
        const { token, probability } = sampler.guess(row, history, keep);
        tokens.push(token);
        confidence.push(probability);
        product *= probability;
        if (tokens.length >= limit || product < minConfidence || isEnd(token)) return undefined;
        constraint?.accept(token);
        followed += 1;
        return token;
      });
    } finally {
      constraint?.rollback(followed);
    }
    return pick === undefined ? { tokens, confidence } : { tokens, confidence, distributions };
  }
}

function toError(failure: unknown): Error {
  return failure instanceof Error ? failure : new Error(String(failure));
}
