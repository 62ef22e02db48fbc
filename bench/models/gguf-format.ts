import type { TensorType } from "../../lib/native/native.js";
import { invalidArgument } from "../../lib/errors/air-error.js";

/** Storage of one GGUF tensor type. */
export interface TensorTypeInfo {
  /** The number that stands for the type in a file (ggml_type). */
  readonly id: number;
  /** Weights per block; a row holds whole blocks. */
  readonly blockValues: number;
  readonly blockBytes: number;
}

/** The tensor types that air-runtime reads, as GGUF numbers and sizes them. */
export const tensorTypes = {
  F32: { id: 0, blockValues: 1, blockBytes: 4 },
  F16: { id: 1, blockValues: 1, blockBytes: 2 },
  Q4_0: { id: 2, blockValues: 32, blockBytes: 18 },
  Q4_1: { id: 3, blockValues: 32, blockBytes: 20 },
  Q5_0: { id: 6, blockValues: 32, blockBytes: 22 },
  Q5_1: { id: 7, blockValues: 32, blockBytes: 24 },
  Q8_0: { id: 8, blockValues: 32, blockBytes: 34 },
  Q4_K: { id: 12, blockValues: 256, blockBytes: 144 },
  Q5_K: { id: 13, blockValues: 256, blockBytes: 176 },
  Q6_K: { id: 14, blockValues: 256, blockBytes: 210 },
  BF16: { id: 30, blockValues: 1, blockBytes: 2 },
} as const satisfies Readonly<Record<TensorType, TensorTypeInfo>>;

/** Tensor data starts at a multiple of this many bytes. */
export const alignmentBytes = 32;

/** Rounds `bytes` up to the alignment. */
export function alignUp(bytes: number): number {
  return Math.ceil(bytes / alignmentBytes) * alignmentBytes;
}

/**
 * Bytes of one row of `columns` weights.
 * @throws {AirArgumentError} AIR_ERR_SHAPE when the row would end inside a block.
 */
export function rowBytes(type: TensorType, columns: number): number {
  const { blockValues, blockBytes } = tensorTypes[type];
  if (columns % blockValues !== 0) {
    throw invalidArgument(
      `the row length of a ${type} tensor`,
      `a multiple of ${String(blockValues)}`,
      columns,
      "AIR_ERR_SHAPE",
    );
  }
  return (columns / blockValues) * blockBytes;
}

/** Bytes of a whole tensor of row-major `shape`. */
export function tensorBytes(type: TensorType, shape: readonly number[]): number {
  const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
  return rows * rowBytes(type, shape.at(-1) ?? 1);
}
