import { AirError } from "../errors/air-error.js";
import type { RowOps } from "../native/native.js";
import type { Model } from "../runtime/model.js";
import { at } from "../util/array-access.js";
import { type TextWindowOptions, textWindows, type WindowedModel } from "./text-windows.js";

/** Options of {@link perplexity}. */
export interface PerplexityOptions extends TextWindowOptions {
  /** Called after each window with the part done from 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
  readonly signal?: AbortSignal;
}

/** How well a model predicts a text. */
export interface PerplexityResult {
  /** exp(meanNll). */
  readonly perplexity: number;
  /** Tokens scored. */
  readonly tokens: number;
  /** Mean negative log-likelihood per token, in nats. */
  readonly meanNll: number;
}

/** What perplexity() uses of a {@link Model}. */
export type EvaluatedModel = Pick<Model, "evaluate" | "rowOps"> & WindowedModel;

/**
 * Perplexity of a text, exp(-1/N * sum log p(token | context)), with sums in float64, in the windows of
 * {@link textWindows}.
 *
 * @param tokens - the text's ids, without BOS
 * @throws {AirError} AIR_ERR_ARGUMENT when the text is shorter than a window, or an option is out of range
 */
export async function perplexity(
  model: EvaluatedModel,
  tokens: Int32Array,
  options: PerplexityOptions = {},
): Promise<PerplexityResult> {
  const { onProgress, signal } = options;
  const windows = textWindows(model, tokens, options);
  let sum = 0;
  let scored = 0;
  for (const [order, { fed, next, scoredFrom }] of windows.entries()) {
    await model.evaluate(fed, {
      logitsFrom: scoredFrom,
      onRow: (row, index) => {
        sum += negativeLogLikelihood(model.rowOps, row, at(next, index));
        scored += 1;
      },
      ...(signal && { signal }),
    });
    onProgress?.((order + 1) / windows.length);
  }
  const meanNll = sum / scored;
  return { perplexity: Math.exp(meanNll), tokens: scored, meanNll };
}

/**
 * -log p(token) of a row of logits, in nats.
 *
 * @throws {AirError} AIR_ERR_INTERNAL when the row holds NaN or infinity
 */
export function negativeLogLikelihood(
  maths: Pick<RowOps, "logSumExpRow">,
  row: Float32Array,
  token: number,
): number {
  const nll = maths.logSumExpRow(row) - (row[token] ?? NaN);
  if (Number.isFinite(nll)) return nll;
  throw new AirError("AIR_ERR_INTERNAL", `expected finite logits for token ${token} but received ${nll}`);
}
