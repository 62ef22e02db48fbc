import { ngramBuckets } from "./ngram-features.js";
import type { DesignMatrix } from "./ordinal-model.js";
import type { PromptFeatures } from "./prompt-features.js";
import { readableNames } from "./readable-features.js";

/** How columns are made from features; found on the training examples. */
export interface FeatureScales {
  /** [readableNames] subtracted from readable features. */
  readonly means: Float64Array;
  /** [readableNames] multiplied after that; 0 for what never changes. */
  readonly factors: Float64Array;
  /** [ngramBuckets] of n-grams: inverse document frequency, 0 for those too rare to learn from. */
  readonly idf: Float32Array;
}

/** Columns: readable features first, then n-gram buckets. */
export const columnCount = readableNames.length + ngramBuckets;

/** Standard deviations beyond which readable features are cut, so that no single one decides. */
export const mostDeviations = 4;

/** Scales found on examples; n-grams in fewer than `leastPrompts` of them are left out. */
export function featureScales(examples: readonly PromptFeatures[], leastPrompts: number): FeatureScales {
  const width = readableNames.length;
  const means = new Float64Array(width);
  const squares = new Float64Array(width);
  const documents = new Uint32Array(ngramBuckets);
  for (const { readable, ngrams } of examples) {
    for (let i = 0; i < width; i += 1) {
      const value = readable[i] ?? 0;
      means[i] = (means[i] ?? 0) + value / examples.length;
      squares[i] = (squares[i] ?? 0) + (value * value) / examples.length;
    }
    for (const { buckets } of ngrams)
      for (const bucket of buckets) documents[bucket] = (documents[bucket] ?? 0) + 1;
  }
  const factors = squares.map((square, i) => {
    const variance = square - (means[i] ?? 0) ** 2;
    return variance > 1e-9 ? 1 / Math.sqrt(variance) : 0;
  });
  const idf = new Float32Array(ngramBuckets);
  for (const [bucket, count] of documents.entries()) {
    if (count >= leastPrompts) idf[bucket] = 1 + Math.log((1 + examples.length) / (1 + count));
  }
  return { means, factors, idf };
}

/** A readable feature as the model sees it. */
export function standardized(value: number, index: number, scales: FeatureScales): number {
  const deviations = (value - (scales.means[index] ?? 0)) * (scales.factors[index] ?? 0);
  return Math.max(-mostDeviations, Math.min(mostDeviations, deviations));
}

/** Rows of examples under given scales. */
export function designMatrix(
  examples: readonly PromptFeatures[],
  scales: FeatureScales,
  readableFactor: number,
): DesignMatrix {
  const starts = new Int32Array(examples.length + 1);
  const columns: number[] = [];
  const values: number[] = [];
  for (const [row, { readable, ngrams }] of examples.entries()) {
    for (let i = 0; i < readable.length; i += 1) {
      const value = standardized(readable[i] ?? 0, i, scales) * readableFactor;
      if (value === 0) continue;
      columns.push(i);
      values.push(value);
    }
    for (const { buckets, values: frequencies } of ngrams) {
      for (let i = 0; i < buckets.length; i += 1) {
        const bucket = buckets[i] ?? 0;
        const idf = scales.idf[bucket] ?? 0;
        if (idf === 0) continue;
        columns.push(readableNames.length + bucket);
        values.push((frequencies[i] ?? 0) * idf);
      }
    }
    starts[row + 1] = columns.length;
  }
  return { starts, columns: Int32Array.from(columns), values: Float32Array.from(values), columnCount };
}
