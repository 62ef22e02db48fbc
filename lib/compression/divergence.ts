import { at } from "../util/array-access.js";
import { type DivergenceFigures, DivergenceTally } from "./divergence-tally.js";
import type { EvaluatedModel, PerplexityOptions, PerplexityResult } from "./evaluate.js";
import { type TextWindow, textWindows } from "./text-windows.js";

/** How far one model's predictions are from another's, over the tokens of a text. */
export interface DivergenceResult extends DivergenceFigures {
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
  const tally = new DivergenceTally(model.rowOps, vocabSize);
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
