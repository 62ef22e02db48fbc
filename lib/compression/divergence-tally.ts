import type { RowOps } from "../native/native.js";
import { at } from "../util/array-access.js";
import { negativeLogLikelihood, type PerplexityResult } from "./evaluate.js";

/** How far predictions are from those of a reference, over some tokens. */
export interface DivergenceFigures {
  /** Kullback-Leibler divergence of the model from the reference per token, in nats. */
  readonly meanDivergence: number;
  /** 99 of 100 tokens have less. */
  readonly p99Divergence: number;
  /** Share of tokens at which both find the same token likeliest. */
  readonly sameTopRate: number;
}

/** Compares rows of logits one by one. */
export class DivergenceTally {
  readonly #maths: RowOps;
  readonly #vocabSize: number;
  readonly #divergences: number[] = [];
  readonly #tops = new Int32Array(1);
  #sameTop = 0;
  #modelNll = 0;
  #referenceNll = 0;

  constructor(maths: RowOps, vocabSize: number) {
    this.#maths = maths;
    this.#vocabSize = vocabSize;
  }

  /** @param next - the token that follows in the text */
  add(reference: Float32Array, row: Float32Array, next: number): void {
    this.#modelNll += negativeLogLikelihood(this.#maths, row, next);
    this.#referenceNll += negativeLogLikelihood(this.#maths, reference, next);
    this.#divergences.push(this.#maths.divergenceRow(reference, row));
    if (this.#top(reference) === this.#top(row)) this.#sameTop += 1;
  }

  result(): DivergenceFigures & { readonly model: PerplexityResult; readonly reference: PerplexityResult } {
    const tokens = this.#divergences.length;
    const sorted = Float64Array.from(this.#divergences).sort();
    const perplexityOf = (nll: number): PerplexityResult => {
      return { perplexity: Math.exp(nll / tokens), tokens, meanNll: nll / tokens };
    };
    return {
      meanDivergence: sorted.reduce((sum, value) => sum + value, 0) / tokens,
      p99Divergence: at(sorted, Math.min(tokens - 1, Math.floor(tokens * 0.99))),
      sameTopRate: this.#sameTop / tokens,
      model: perplexityOf(this.#modelNll),
      reference: perplexityOf(this.#referenceNll),
    };
  }

  #top(row: Float32Array): number {
    this.#maths.argmaxRows(row, this.#vocabSize, this.#tops);
    return at(this.#tops, 0);
  }
}
