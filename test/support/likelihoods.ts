import { textWindows } from "../../lib/compression/text-windows.js";
import type { Model } from "../../lib/index.js";
import { at } from "../../lib/util/array-access.js";

/** -log p of each token of a text, in the windows of perplexity(). */
export async function negativeLogLikelihoods(
  model: Model,
  tokens: Int32Array,
  contextTokens: number,
): Promise<readonly number[]> {
  const result: number[] = [];
  for (const { fed, next, scoredFrom } of textWindows(model, tokens, { contextTokens })) {
    await model.evaluate(fed, {
      logitsFrom: scoredFrom,
      onRow: (row, index) => {
        result.push(model.rowOps.logSumExpRow(row) - at(row, at(next, index)));
      },
    });
  }
  return result;
}

/** Mean of b - a and its standard error. */
export function meanDifference(
  a: readonly number[],
  b: readonly number[],
): { readonly mean: number; readonly error: number } {
  const differences = b.map((value, index) => value - at(a, index));
  const mean = differences.reduce((sum, value) => sum + value, 0) / differences.length;
  const squares = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, error: Math.sqrt(squares) / differences.length };
}
