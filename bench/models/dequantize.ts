import type { TensorType } from "../../lib/native/native.js";
import { invalidArgument } from "../../lib/errors/air-error.js";
import { tensorTypes } from "./gguf-format.js";
import { getHalf } from "./block-fields.js";
import { brainToFloat } from "./half.js";

/** Value `i` of one block. */
type ValueReader = (block: DataView, i: number) => number;

const readers: Readonly<Record<TensorType, ValueReader>> = {
  F32: (block) => block.getFloat32(0, true),
  F16: (block) => getHalf(block, 0),
  BF16: (block) => brainToFloat(block.getUint16(0, true)),
  Q8_0: (block, i) => getHalf(block, 0) * block.getInt8(2 + i),
  Q4_0: (block, i) => getHalf(block, 0) * (nibble(block, 2, i) - 8),
  Q4_1: (block, i) => getHalf(block, 0) * nibble(block, 4, i) + getHalf(block, 2),
  Q5_0: (block, i) => getHalf(block, 0) * (fiveBits(block, 2, i) - 16),
  Q5_1: (block, i) => getHalf(block, 0) * fiveBits(block, 4, i) + getHalf(block, 2),
  Q4_K: (block, i) => scaleAndShift(block, i, pairedNibble(block, 16, i)),
  Q5_K: (block, i) => {
    const fifthBit = (block.getUint8(16 + (i % 32)) >> Math.floor(i / 32)) & 1;
    return scaleAndShift(block, i, pairedNibble(block, 48, i) | (fifthBit << 4));
  },
  Q6_K: readQ6K,
};

/**
 * Decodes whole blocks to floats, one value at a time: clear, and fast enough for small models and tests.
 * @throws {AirArgumentError} AIR_ERR_SHAPE when `bytes` ends inside a block.
 */
export function dequantize(type: TensorType, bytes: Uint8Array): Float32Array {
  const { blockValues, blockBytes } = tensorTypes[type];
  if (bytes.length % blockBytes !== 0) {
    const expected = `a multiple of ${String(blockBytes)} bytes`;
    throw invalidArgument(`${type} data`, expected, bytes.length, "AIR_ERR_SHAPE");
  }
  const out = new Float32Array((bytes.length / blockBytes) * blockValues);
  const read = readers[type];
  for (let start = 0, index = 0; start < bytes.length; start += blockBytes) {
    const block = new DataView(bytes.buffer, bytes.byteOffset + start, blockBytes);
    for (let i = 0; i < blockValues; i++) out[index++] = read(block, i);
  }
  return out;
}

/** Values 0-15 in the low nibbles, 16-31 in the high ones. */
function nibble(block: DataView, at: number, i: number): number {
  return (block.getUint8(at + (i % 16)) >> (i < 16 ? 0 : 4)) & 15;
}

/** A 32-bit word of fifth bits at `at`, then nibbles. */
function fiveBits(block: DataView, at: number, i: number): number {
  return nibble(block, at + 4, i) | (((block.getUint32(at, true) >>> i) & 1) << 4);
}

/** 32 bytes hold two sub-blocks of 32: the even one in the low nibbles. */
function pairedNibble(block: DataView, at: number, i: number): number {
  const byte = block.getUint8(at + 32 * Math.floor(i / 64) + (i % 32));
  return (byte >> (i % 64 < 32 ? 0 : 4)) & 15;
}

/** d * scale * code - dmin * minimum, with the sub-block's 6-bit scale and minimum (see packSixBits). */
function scaleAndShift(block: DataView, i: number, code: number): number {
  const sub = Math.floor(i / 32);
  let scale: number;
  let minimum: number;
  if (sub < 4) {
    scale = block.getUint8(4 + sub) & 63;
    minimum = block.getUint8(8 + sub) & 63;
  } else {
    const low = block.getUint8(8 + sub);
    scale = (low & 15) | ((block.getUint8(sub) >> 6) << 4);
    minimum = (low >> 4) | ((block.getUint8(4 + sub) >> 6) << 4);
  }
  return getHalf(block, 0) * scale * code - getHalf(block, 2) * minimum;
}

function readQ6K(block: DataView, i: number): number {
  const half = Math.floor(i / 128);
  const quarter = Math.floor((i % 128) / 32);
  const column = i % 32;
  const low = (block.getUint8(64 * half + 32 * (quarter % 2) + column) >> (quarter < 2 ? 0 : 4)) & 15;
  const high = (block.getUint8(128 + 32 * half + column) >> (2 * quarter)) & 3;
  return getHalf(block, 208) * block.getInt8(192 + Math.floor(i / 16)) * ((low | (high << 4)) - 32);
}
