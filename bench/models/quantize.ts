import type { TensorType } from "../../lib/native/native.js";
import { rowBytes, tensorTypes } from "./gguf-format.js";
import { clamp, inverse, setHalf, type BlockEncoder } from "./block-fields.js";
import { brainToFloat, floatToBrain, floatToHalf, halfToFloat } from "./half.js";
import { encodeQ4K, encodeQ5K, encodeQ6K } from "./quantize-k.js";

const encoders: Readonly<Record<TensorType, BlockEncoder>> = {
  F32: (values, block) => {
    block.setFloat32(0, values[0] ?? 0, true);
  },
  F16: (values, block) => {
    block.setUint16(0, floatToHalf(values[0] ?? 0), true);
  },
  BF16: (values, block) => {
    block.setUint16(0, floatToBrain(values[0] ?? 0), true);
  },
  Q8_0: encodeQ80,
  Q4_0: (values, block) => {
    packNibbles(values, setSymmetricScale(values, block, 8), 0, 8, 15, block, 2);
  },
  Q4_1: (values, block) => {
    const { scale, minimum } = setRange(values, block, 15);
    packNibbles(values, scale, minimum, 0, 15, block, 4);
  },
  Q5_0: (values, block) => {
    packFiveBits(values, setSymmetricScale(values, block, 16), 0, 16, block, 2);
  },
  Q5_1: (values, block) => {
    const { scale, minimum } = setRange(values, block, 31);
    packFiveBits(values, scale, minimum, 0, block, 4);
  },
  Q4_K: encodeQ4K,
  Q5_K: encodeQ5K,
  Q6_K: encodeQ6K,
};

/**
 * Encodes whole blocks of floats, rounding to nearest: good enough for tests and speed, no search for the best
 * scale. A block of zeros decodes to exact zeros in every type, and so does a zero within a block of the types
 * without a minimum (F32, F16, BF16, Q8_0, Q4_0, Q5_0, Q6_K).
 * @throws {AirArgumentError} AIR_ERR_SHAPE when `values` does not fill its last block.
 */
export function quantize(type: TensorType, values: Float32Array): Uint8Array {
  const { blockValues, blockBytes } = tensorTypes[type];
  const out = new Uint8Array(rowBytes(type, values.length));
  const encode = encoders[type];
  for (let index = 0; index * blockValues < values.length; index++) {
    const block = new DataView(out.buffer, index * blockBytes, blockBytes);
    encode(values.subarray(index * blockValues, (index + 1) * blockValues), block);
  }
  return out;
}

/** Offsets of the float16 fields that a block's values are proportional to; F16 values are such a field too. */
const halfFields: Readonly<Partial<Record<TensorType, readonly number[]>>> = {
  F16: [0],
  Q8_0: [0],
  Q4_0: [0],
  Q4_1: [0, 2],
  Q5_0: [0],
  Q5_1: [0, 2],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
};

/** Multiplies whole blocks by `factor` through their scales, in place; codes are kept. */
export function scaleBlocks(type: TensorType, blocks: Uint8Array, factor: number): void {
  if (factor === 1) return;
  const view = new DataView(blocks.buffer, blocks.byteOffset, blocks.byteLength);
  const { blockBytes } = tensorTypes[type];
  for (let start = 0; start < blocks.length; start += blockBytes) {
    if (type === "F32") view.setFloat32(start, view.getFloat32(start, true) * factor, true);
    else if (type === "BF16") {
      view.setUint16(start, floatToBrain(brainToFloat(view.getUint16(start, true)) * factor), true);
    }
    for (const field of halfFields[type] ?? []) {
      const scaled = halfToFloat(view.getUint16(start + field, true)) * factor;
      view.setUint16(start + field, floatToHalf(scaled), true);
    }
  }
}

/** float16 scale, then 32 signed bytes. */
function encodeQ80(values: Float32Array, block: DataView): void {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  const scale = setHalf(block, 0, largest / 127);
  for (let i = 0; i < 32; i++) {
    block.setInt8(2 + i, clamp(Math.round((values[i] ?? 0) * inverse(scale)), -127, 127));
  }
}

/** Stores the scale that maps the value of largest magnitude to code 0 (-`zeroCode` steps); returns it. */
function setSymmetricScale(values: Float32Array, block: DataView, zeroCode: number): number {
  let extreme = 0;
  for (const value of values) if (Math.abs(value) > Math.abs(extreme)) extreme = value;
  return setHalf(block, 0, -extreme / zeroCode);
}

/** Stores scale and minimum of a block with codes 0..`codes`; returns both as stored. */
function setRange(values: Float32Array, block: DataView, codes: number): { scale: number; minimum: number } {
  let minimum = Infinity;
  let maximum = -Infinity;
  for (const value of values) {
    minimum = Math.min(minimum, value);
    maximum = Math.max(maximum, value);
  }
  return { scale: setHalf(block, 0, (maximum - minimum) / codes), minimum: setHalf(block, 2, minimum) };
}

/** 16 bytes at `offset`: value j in the low nibble of byte j, value j + 16 in its high nibble. */
function packNibbles(
  values: Float32Array,
  scale: number,
  minimum: number,
  zeroCode: number,
  maxCode: number,
  block: DataView,
  offset: number,
): void {
  const perStep = inverse(scale);
  for (let j = 0; j < 16; j++) {
    const low = clamp(Math.round(((values[j] ?? 0) - minimum) * perStep) + zeroCode, 0, maxCode);
    const high = clamp(Math.round(((values[j + 16] ?? 0) - minimum) * perStep) + zeroCode, 0, maxCode);
    block.setUint8(offset + j, low | (high << 4));
  }
}

/** A 32-bit word of fifth bits (bit j belongs to value j) at `offset`, then 16 bytes of nibbles. */
function packFiveBits(
  values: Float32Array,
  scale: number,
  minimum: number,
  zeroCode: number,
  block: DataView,
  offset: number,
): void {
  const perStep = inverse(scale);
  let fifthBits = 0;
  for (let j = 0; j < 32; j++) {
    const code = clamp(Math.round(((values[j] ?? 0) - minimum) * perStep) + zeroCode, 0, 31);
    fifthBits |= (code >> 4) << j;
    const byte = offset + 4 + (j % 16);
    block.setUint8(byte, block.getUint8(byte) | ((code & 15) << (j < 16 ? 0 : 4)));
  }
  block.setUint32(offset, fifthBits >>> 0, true);
}
