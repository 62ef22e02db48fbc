import type { RowOps } from "../../lib/native/native.js";
import { philox4x32 } from "../../lib/util/rng.js";

function rowsOf(logits: Float32Array, vocabSize: number): Float32Array[] {
  return Array.from({ length: logits.length / vocabSize }, (_, row) =>
    logits.subarray(row * vocabSize, (row + 1) * vocabSize),
  );
}

function softmax(row: Float32Array, temperature: number): void {
  const max = row.reduce((a, b) => Math.max(a, b), -Infinity);
  let total = 0;
  const weights = Array.from(row, (value) => {
    const weight = Math.exp((value - max) / temperature);
    total += weight;
    return weight;
  });
  weights.forEach((weight, id) => {
    row[id] = weight / total;
  });
}

/** Row maths in plain JavaScript, by the definitions in native.ts. */
export class FakeRowOps implements RowOps {
  softmaxRows(logits: Float32Array, vocabSize: number, temperature: number): void {
    for (const row of rowsOf(logits, vocabSize)) softmax(row, temperature);
  }

  argmaxRows(logits: Float32Array, vocabSize: number, out: Int32Array): void {
    rowsOf(logits, vocabSize).forEach((row, index) => {
      let best = 0;
      row.forEach((value, id) => {
        if (value > (row[best] ?? -Infinity)) best = id;
      });
      out[index] = row.some(Number.isNaN) ? -1 : best;
    });
  }

  topKRow(row: Float32Array, k: number, outIds: Int32Array, outValues: Float32Array): void {
    const ids = Array.from(row.keys()).sort((a, b) => (row[b] ?? 0) - (row[a] ?? 0) || a - b);
    outIds.set(ids.slice(0, k));
    outValues.set(ids.slice(0, k).map((id) => row[id] ?? 0));
  }

  sampleRow(
    weights: Float32Array,
    ids: Int32Array | undefined,
    seed: number,
    position: number,
    purpose: number,
  ): number {
    const key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0] as const;
    let block = -1;
    let words: ReturnType<typeof philox4x32> = [0, 0, 0, 0];
    let winner = -1;
    let least = Infinity;
    for (let index = 0; index < weights.length; index += 1) {
      const weight = weights[index] ?? NaN;
      if (!(weight >= 0 && weight < Infinity)) return -1;
      if (weight === 0) continue;
      const token = ids?.[index] ?? index;
      if (block !== token >>> 2) {
        block = token >>> 2; // the words of a Philox block serve four neighbouring tokens
        words = philox4x32([position, purpose, block, 1], key);
      }
      const uniform = ((words[token & 3] ?? 0) + 0.5) / 2 ** 32;
      const ratio = -Math.log(uniform) / weight;
      if (ratio >= least) continue;
      least = ratio;
      winner = index;
    }
    return winner;
  }

  logSumExpRow(row: Float32Array): number {
    const max = row.reduce((a, b) => Math.max(a, b), -Infinity);
    return max + Math.log(row.reduce((sum, value) => sum + Math.exp(value - max), 0));
  }

  residualRow(target: Float32Array, draft: Float32Array, out: Float32Array): void {
    target.forEach((value, id) => {
      out[id] = Math.max(0, value - (draft[id] ?? 0));
    });
    const total = out.reduce((a, b) => a + b, 0);
    out.forEach((value, id) => {
      out[id] = value / total;
    });
  }
}
