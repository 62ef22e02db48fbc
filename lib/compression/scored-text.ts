import type { Activity, RowOps } from "../native/native.js";
import { at } from "../util/array-access.js";
import type { CalibrationRunner } from "./calibration-runner.js";
import { negativeLogLikelihood } from "./evaluate.js";
import type { TextWindow } from "./text-windows.js";
import { type HeadSelection, wholeModel } from "./head-selection.js";

/** How predictions changed with a selection of heads. */
export interface Score {
  /** Kullback-Leibler divergence from the whole model, the mean over the sampled rows, in nats. */
  readonly divergence: number;
  /** Mean negative log-likelihood of the text at those rows. */
  readonly nll: number;
  /** The same of the rows in the first half of their window, and of the others. */
  readonly nllByHalf: readonly [number, number];
}

/** Rows of some windows, and what the whole model predicts there. */
export class ScoredText {
  readonly #runner: CalibrationRunner;
  readonly #maths: RowOps;
  readonly #vocabSize: number;
  readonly #windows: readonly TextWindow[];
  /** By window, the rows that count. */
  readonly #rows: readonly (readonly number[])[];
  /** What the whole model gave, row after row; undefined where only likelihoods are wanted. */
  #reference: Float32Array | undefined;

  constructor(
    runner: CalibrationRunner,
    maths: RowOps,
    vocabSize: number,
    windows: readonly TextWindow[],
    rows: readonly (readonly number[])[],
  ) {
    this.#runner = runner;
    this.#maths = maths;
    this.#vocabSize = vocabSize;
    this.#windows = windows;
    this.#rows = rows;
  }

  /** Rows that count. */
  get rowCount(): number {
    return this.#rows.reduce((sum, rows) => sum + rows.length, 0);
  }

  /** Tokens that a score computes. */
  get tokenCount(): number {
    return this.#windows.reduce((sum, { fed }) => sum + fed.length, 0);
  }

  /** Keeps what the whole model predicts, so that scores have divergences. */
  async keepReference(): Promise<void> {
    const reference = new Float32Array(this.rowCount * this.#vocabSize);
    let row = 0;
    await this.#each(this.#runner, wholeModel, (logits) => {
      reference.set(logits, row * this.#vocabSize);
      row += 1;
    });
    this.#reference = reference;
  }

  /**
   * Scores the model with these heads; the divergence is NaN without keepReference().
   *
   * @param runner - another model's, to compare that one with the reference
   */
  async score(selection: HeadSelection, runner = this.#runner): Promise<Score> {
    const nll: [number, number] = [0, 0];
    const rows: [number, number] = [0, 0];
    let [divergence, row] = [0, 0];
    await this.#each(runner, selection, (logits, next, isEarly) => {
      const start = row * this.#vocabSize;
      const reference = this.#reference?.subarray(start, start + this.#vocabSize);
      divergence += reference === undefined ? NaN : this.#maths.divergenceRow(reference, logits);
      nll[isEarly ? 0 : 1] += negativeLogLikelihood(this.#maths, logits, next);
      rows[isEarly ? 0 : 1] += 1;
      row += 1;
    });
    const total = (nll[0] + nll[1]) / row;
    const half = (index: 0 | 1): number => (rows[index] > 0 ? nll[index] / rows[index] : total);
    return { divergence: divergence / row, nll: total, nllByHalf: [half(0), half(1)] };
  }

  /** Adds up what heads and channels contribute to all tokens of the windows. */
  async measure(activity: Activity): Promise<void> {
    for (const { fed } of this.#windows) {
      await this.#runner.run(fed, wholeModel, [...fed.keys()], () => undefined, activity);
    }
  }

  async #each(
    runner: CalibrationRunner,
    selection: HeadSelection,
    onRow: (logits: Float32Array, next: number, isEarly: boolean) => void,
  ): Promise<void> {
    for (const [order, { fed, next }] of this.#windows.entries()) {
      await runner.run(fed, selection, at(this.#rows, order), (logits, index) => {
        onRow(logits, at(next, index), 2 * index < fed.length);
      });
    }
  }
}
