import { at } from "../util/array-access.js";
import {
  type EvaluatedModel,
  negativeLogLikelihood,
  type PerplexityOptions,
  type PerplexityResult,
} from "./evaluate.js";
import { type TextWindow, textWindows } from "./text-windows.js";

/** How far one model's predictions are from another's, over the tokens of a text. */
export interface DivergenceResult {
  /** Kullback-Leibler divergence of the model from the reference per token, in nats. */
  readonly meanDivergence: number;
  /** 99 of 100 tokens have less. */
  readonly p99Divergence: number;
  /** Share of tokens at which both find the same token likeliest. */
  readonly sameTopRate: number;
  readonly model: PerplexityResult;
  readonly reference: PerplexityResult;
}

/** A model that is compared with another. */
export type ComparedModel = EvaluatedModel & { readonly info: { readonly vocabSize: number } };

/** Most memory for the reference's rows at a time. */
const maxRowBytes = 64 * 2 ** 20;

/**
 * Compares what two models of one vocabulary predict for the same text, in the windows of perplexity().
 *
 * @param tokens - the text's ids, without BOS
 * @throws {AirError} AIR_ERR_ARGUMENT as perplexity() does
 */
export async function divergence(
  model: ComparedModel,
  reference: ComparedModel,
  tokens: Int32Array,
  options: PerplexityOptions = {},
): Promise<DivergenceResult> {
  const windows = textWindows(model, tokens, options);
  const vocabSize = Math.min(model.info.vocabSize, reference.info.vocabSize);
  const rows = new ReferenceRows(reference, vocabSize);
  const tally = new Tally(model, vocabSize);
  for (const [order, window] of windows.entries()) {
    for (let from = window.scoredFrom; from < window.fed.length; from += rows.capacity) {
      const to = Math.min(window.fed.length, from + rows.capacity);
      await rows.compute(window, from, to, options.signal);
      await model.evaluate(window.fed.subarray(0, to), {
        logitsFrom: from,
        onRow: (row, index) => {
          tally.add(rows.at(index), row.subarray(0, vocabSize), at(window.next, index));
        },
        ...(options.signal && { signal: options.signal }),
      });
    }
    options.onProgress?.((order + 1) / windows.length);
  }
  return tally.result();
}

/** The reference's rows of a part of a window. */
class ReferenceRows {
  readonly capacity: number;
  readonly #model: ComparedModel;
  readonly #vocabSize: number;
  readonly #rows: Float32Array;
  #first = 0;

  constructor(model: ComparedModel, vocabSize: number) {
    this.#model = model;
    this.#vocabSize = vocabSize;
    this.capacity = Math.max(1, Math.floor(maxRowBytes / (4 * vocabSize)));
    this.#rows = new Float32Array(this.capacity * vocabSize);
  }

  async compute(
    { fed }: TextWindow,
    from: number,
    to: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    this.#first = from;
    await this.#model.evaluate(fed.subarray(0, to), {
      logitsFrom: from,
      onRow: (row, index) => {
        this.#rows.set(row.subarray(0, this.#vocabSize), (index - from) * this.#vocabSize);
      },
      ...(signal && { signal }),
    });
  }

  /** Logits after token `index` of the window. */
  at(index: number): Float32Array {
    const start = (index - this.#first) * this.#vocabSize;
    return this.#rows.subarray(start, start + this.#vocabSize);
  }
}

class Tally {
  readonly #model: ComparedModel;
  readonly #vocabSize: number;
  readonly #divergences: number[] = [];
  readonly #tops = new Int32Array(1);
  #sameTop = 0;
  #modelNll = 0;
  #referenceNll = 0;

  constructor(model: ComparedModel, vocabSize: number) {
    this.#model = model;
    this.#vocabSize = vocabSize;
  }

  add(reference: Float32Array, row: Float32Array, next: number): void {
    const maths = this.#model.rowOps;
    this.#modelNll += negativeLogLikelihood(maths, row, next);
    this.#referenceNll += negativeLogLikelihood(maths, reference, next);
    this.#divergences.push(maths.divergenceRow(reference, row));
    if (this.#top(reference) === this.#top(row)) this.#sameTop += 1;
  }

  result(): DivergenceResult {
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
    this.#model.rowOps.argmaxRows(row, this.#vocabSize, this.#tops);
    return at(this.#tops, 0);
  }
}
