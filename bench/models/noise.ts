import type { TensorType } from "../../lib/native/native.js";
import { rowBytes } from "./gguf-format.js";
import { quantize } from "./quantize.js";

/** Weights in a pool; rows are cut from it at varying places, because making each anew would take minutes. */
const poolValues = 1 << 17;
/** Small beside trained weights, so that noise activations do not widen the scales of shared blocks. */
const standardDeviation = 0.02;

/** Reproducible random weights, as floats and as rows of any tensor type. */
export class Noise {
  readonly #values = gaussianValues(poolValues);
  readonly #pools = new Map<TensorType, Uint8Array>();
  #rowsTaken = 0;

  /** A view of `length` floats, valid for reading only. */
  values(length: number): Float32Array {
    const start = this.#nextStart(poolValues - length);
    return this.#values.subarray(start, start + length);
  }

  /** A view of one encoded row, valid for reading only. */
  row(type: TensorType, columns: number): Uint8Array {
    let pool = this.#pools.get(type);
    if (pool === undefined) {
      pool = quantize(type, this.#values);
      this.#pools.set(type, pool);
    }
    // Rows start at a multiple of 256 weights, which is a whole number of blocks in every type.
    const start = rowBytes(type, 256) * this.#nextStart((poolValues - columns) / 256);
    return pool.subarray(start, start + rowBytes(type, columns));
  }

  #nextStart(range: number): number {
    this.#rowsTaken += 1;
    // A stride near the golden ratio spreads consecutive starts over the pool.
    return Math.floor(((this.#rowsTaken * 0.6180339887) % 1) * Math.max(0, Math.floor(range)));
  }
}

/** Normally distributed values from a fixed seed (xorshift32 and the Box-Muller transform). */
function gaussianValues(count: number): Float32Array {
  let state = 0x9e3779b9;
  const uniform = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) + 0.5) / 2 ** 32;
  };
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = standardDeviation * Math.sqrt(-2 * Math.log(uniform()));
    const angle = 2 * Math.PI * uniform();
    values[i] = radius * Math.cos(angle);
    values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}
