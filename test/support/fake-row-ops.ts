import type { RowOps } from "../../lib/native/native.js";
import { philox4x32 } from "../../lib/util/rng.js";

function rowsOf(logits: Float32Array, vocabSize: number): Float32Array[] {
  if (logits.length === vocabSize) return [logits];
  return Array.from({ length: logits.length / vocabSize }, (_, row) =>
    logits.subarray(row * vocabSize, (row + 1) * vocabSize),
  );
}

function largestOf(row: Float32Array): number {
  let largest = -Infinity;
  for (const value of row) largest = Math.max(largest, value);
  return largest;
}

function softmax(row: Float32Array, temperature: number): void {
  const largest = largestOf(row);
  let total = 0;
  for (let id = 0; id < row.length; id += 1) {
    const weight = Math.exp(((row[id] ?? 0) - largest) / temperature);
    row[id] = weight;
    total += weight;
  }
  for (let id = 0; id < row.length; id += 1) row[id] = (row[id] ?? 0) / total;
}

/** Row maths in plain JavaScript, by the definitions in native.ts. */
export class FakeRowOps implements RowOps {
  softmaxRows(logits: Float32Array, vocabSize: number, temperature: number): void {
    for (const row of rowsOf(logits, vocabSize)) softmax(row, temperature);
  }

  argmaxRows(logits: Float32Array, vocabSize: number, out: Int32Array): void {
    for (const [index, row] of rowsOf(logits, vocabSize).entries()) {
      const largest = largestOf(row);
      out[index] = Number.isNaN(largest) ? -1 : Math.max(0, row.indexOf(largest));
    }
  }

  topKRow(row: Float32Array, k: number, outIds: Int32Array, outValues: Float32Array): void {
    const ids: number[] = []; // insertion sort, descending
    for (let id = 0; id < row.length; id += 1) {
      let place = Math.min(ids.length, k);
      while (place > 0 && (row[id] ?? 0) > (row[ids[place - 1] ?? 0] ?? 0)) {
        ids[place] = ids[place - 1] ?? 0;
        place -= 1;
      }
      ids[place] = id;
    }
    for (let place = 0; place < k; place += 1) {
      outIds[place] = ids[place] ?? 0;
      outValues[place] = row[ids[place] ?? 0] ?? 0;
    }
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
    const largest = largestOf(row);
    return largest + Math.log(row.reduce((sum, value) => sum + Math.exp(value - largest), 0));
  }

  divergenceRow(reference: Float32Array, logits: Float32Array): number {
    const [from, to] = [this.logSumExpRow(reference), this.logSumExpRow(logits)];
    return reference.reduce((sum, value, id) => {
      if (value === -Infinity) return sum; // what never happens is no surprise
      return sum + Math.exp(value - from) * (value - from - ((logits[id] ?? NaN) - to));
    }, 0);
  }

  residualRow(target: Float32Array, draft: Float32Array, out: Float32Array): void {
    const excess = (id: number): number => Math.max(0, (target[id] ?? 0) - (draft[id] ?? 0));
    let total = 0;
    for (let id = 0; id < target.length; id += 1) total += excess(id);
    for (let id = 0; id < target.length; id += 1)
      out[id] = total > 0 ? excess(id) / total : (target[id] ?? 0);
  }
}
