import { AirArgumentError, AirError, invalidArgument } from "../errors/air-error.js";
import type { RowOps } from "../native/native.js";
import type { Model } from "../runtime/model.js";
import { at } from "../util/array-access.js";

/** Options of {@link perplexity}. */
export interface PerplexityOptions {
  /** Tokens fed per window, the one before it included. Default 512. */
  readonly contextTokens?: number;
  /** How far each window moves; from contextTokens - 1 on, windows do not overlap. Default contextTokens. */
  readonly stride?: number;
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
export type EvaluatedModel = Pick<Model, "evaluate" | "rowOps"> & {
  readonly info: Pick<Model["info"], "contextTokens">;
  readonly tokenizer: Pick<Model["tokenizer"], "addBos" | "bosId">;
};

/**
 * Perplexity of a text, exp(-1/N * sum log p(token | context)), with sums in float64. Windows of contextTokens - 1
 * tokens are each preceded by BOS, or, where the model adds none, by the token before the window. Every token of a
 * window is scored that no earlier window scored; a partial window at the end is dropped.
 *
 * @param tokens - the text's ids, without BOS
 * @throws {AirError} AIR_ERR_ARGUMENT when the text is shorter than a window, or an option is out of range
 */
export async function perplexity(
  model: EvaluatedModel,
  tokens: Int32Array,
  options: PerplexityOptions = {},
): Promise<PerplexityResult> {
  const { contextTokens = 512, stride = contextTokens, onProgress, signal } = options;
  if (!Number.isInteger(contextTokens) || contextTokens < 2 || contextTokens > model.info.contextTokens) {
    throw invalidArgument("contextTokens", `an integer from 2 to ${model.info.contextTokens}`, contextTokens);
  }
  if (!Number.isInteger(stride) || stride < 1)
    throw invalidArgument("stride", "an integer of at least 1", stride);
  const { addBos, bosId } = model.tokenizer;
  const bos = addBos ? bosId : undefined;
  const width = contextTokens - 1;
  const step = Math.min(stride, width);
  const first = bos === undefined ? 1 : 0;
  const windows = Math.floor((tokens.length - first - width) / step) + 1;
  if (windows < 1) {
    const needed = width + first;
    throw new AirArgumentError(
      "AIR_ERR_ARGUMENT",
      `expected at least ${needed} tokens for a text in windows of ${contextTokens} ` +
        `but received ${tokens.length}`,
    );
  }
  let sum = 0;
  let scored = 0;
  for (let window = 0; window < windows; window += 1) {
    const start = first + window * step;
    const fed = new Int32Array(width);
    fed[0] = bos ?? at(tokens, start - 1);
    fed.set(tokens.subarray(start, start + width - 1), 1);
    await model.evaluate(fed, {
      logitsFrom: window === 0 ? 0 : width - step,
      onRow: (row, index) => {
        sum += negativeLogLikelihood(model.rowOps, row, at(tokens, start + index));
        scored += 1;
      },
      ...(signal && { signal }),
    });
    onProgress?.((window + 1) / windows);
  }
  const meanNll = sum / scored;
  return { perplexity: Math.exp(meanNll), tokens: scored, meanNll };
}

function negativeLogLikelihood(maths: RowOps, row: Float32Array, token: number): number {
  const nll = maths.logSumExpRow(row) - (row[token] ?? NaN);
  if (Number.isFinite(nll)) return nll;
  throw new AirError("AIR_ERR_INTERNAL", `expected finite logits for token ${token} but received ${nll}`);
}
