import { floatToHalf, halfToFloat } from "./half.js";

/** Writes one block: reads `blockValues` floats from `values`, fills the zeroed `block`. */
export type BlockEncoder = (values: Float32Array, block: DataView) => void;

/** Stores `value` as float16 and returns what was stored. */
export function setHalf(block: DataView, offset: number, value: number): number {
  const half = floatToHalf(value);
  block.setUint16(offset, half, true);
  return halfToFloat(half);
}

/** Reads a float16 field. */
export function getHalf(block: DataView, offset: number): number {
  return halfToFloat(block.getUint16(offset, true));
}

/** 1 / scale, and 0 for a scale of 0, whose block decodes to a constant whatever its codes are. */
export function inverse(scale: number): number {
  return scale === 0 ? 0 : 1 / scale;
}

/** `value` limited to [low, high]. */
export function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
