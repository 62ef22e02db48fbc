/** The row maths that decoding needs, over float32 rows; the native addon provides it (RowOps in native.ts). */
export interface RowMath {
  /** In place softmax(logits / temperature). */
  softmaxRows(logits: Float32Array, vocabSize: number, temperature: number): void;
  /** Lowest index among equals into out; a row that holds NaN yields -1. */
  argmaxRows(logits: Float32Array, vocabSize: number, out: Int32Array): void;
  /** The k largest, descending, ties by lower index. */
  topKRow(row: Float32Array, k: number, outIds: Int32Array, outValues: Float32Array): void;
  /** An index drawn in proportion to the weights, by the random numbers that the rest names. */
  sampleRow(
    weights: Float32Array,
    ids: Int32Array | undefined,
    seed: number,
    position: number,
    purpose: number,
  ): number;
  /** out = normalise(max(0, target - draft)). */
  residualRow(target: Float32Array, draft: Float32Array, out: Float32Array): void;
  /** log(sum(exp(row))) in float64. */
  logSumExpRow(row: Float32Array): number;
}
