import { clamp, inverse, setHalf } from "./block-fields.js";

/** Sub-blocks of 32 in a Q4_K or Q5_K block of 256. */
const subBlocks = 8;
/** The 6-bit limit of a sub-block's scale and minimum. */
const maxSixBits = 63;

/** Bytes 0-3 d and dmin, 4-15 scales and minimums, 16-143 nibbles. value = d * scale * code - dmin * minimum. */
export function encodeQ4K(values: Float32Array, block: DataView): void {
  const codes = encodeSubBlocks(values, block, 15);
  packPairedNibbles(codes, block, 16);
}

/** As Q4_K, with the fifth bits in bytes 16-47 (byte i, bit s: value i of sub-block s), nibbles from 48. */
export function encodeQ5K(values: Float32Array, block: DataView): void {
  const codes = encodeSubBlocks(values, block, 31);
  for (let i = 0; i < 32; i++) {
    let fifthBits = 0;
    for (let sub = 0; sub < subBlocks; sub++) fifthBits |= ((codes[32 * sub + i] ?? 0) >> 4) << sub;
    block.setUint8(16 + i, fifthBits);
  }
  packPairedNibbles(codes, block, 48);
}

/**
 * Bytes 0-127 low nibbles, 128-191 the two high bits, 192-207 a signed scale for each 16 values, 208 d.
 * value = d * scale * (code - 32).
 */
export function encodeQ6K(values: Float32Array, block: DataView): void {
  const steps = new Float32Array(16);
  for (let sub = 0; sub < 16; sub++) {
    let extreme = 0;
    for (const value of values.subarray(16 * sub, 16 * sub + 16)) {
      if (Math.abs(value) > Math.abs(extreme)) extreme = value;
    }
    steps[sub] = -extreme / 32;
  }
  const d = setHalf(block, 208, steps.reduce((most, step) => Math.max(most, Math.abs(step)), 0) / 127);
  const codes = new Uint8Array(256);
  for (let sub = 0; sub < 16; sub++) {
    const scale = clamp(Math.round((steps[sub] ?? 0) * inverse(d)), -127, 127);
    block.setInt8(192 + sub, scale);
    for (let i = 16 * sub; i < 16 * sub + 16; i++) {
      codes[i] = clamp(Math.round((values[i] ?? 0) * inverse(d * scale)) + 32, 0, 63);
    }
  }
  for (let half = 0; half < 2; half++) {
    for (let i = 0; i < 32; i++) {
      const [a = 0, b = 0, c = 0, e = 0] = [0, 32, 64, 96].map(
        (column) => codes[128 * half + column + i] ?? 0,
      );
      block.setUint8(64 * half + i, (a & 15) | ((c & 15) << 4));
      block.setUint8(64 * half + 32 + i, (b & 15) | ((e & 15) << 4));
      block.setUint8(128 + 32 * half + i, (a >> 4) | ((b >> 4) << 2) | ((c >> 4) << 4) | ((e >> 4) << 6));
    }
  }
}

/** Chooses scale and minimum of each sub-block, stores them with d and dmin, and returns the 256 codes. */
function encodeSubBlocks(values: Float32Array, block: DataView, maxCode: number): Uint8Array {
  const steps = new Float32Array(subBlocks);
  const depths = new Float32Array(subBlocks);
  for (let sub = 0; sub < subBlocks; sub++) {
    // The range always spans 0, because minimums are stored negated and unsigned.
    let minimum = 0;
    let maximum = 0;
    for (const value of values.subarray(32 * sub, 32 * sub + 32)) {
      minimum = Math.min(minimum, value);
      maximum = Math.max(maximum, value);
    }
    steps[sub] = (maximum - minimum) / maxCode;
    depths[sub] = -minimum;
  }
  const d = setHalf(block, 0, Math.max(...steps) / maxSixBits);
  const dmin = setHalf(block, 2, Math.max(...depths) / maxSixBits);
  const scales = Array.from(steps, (step) => clamp(Math.round(step * inverse(d)), 0, maxSixBits));
  const minimums = Array.from(depths, (depth) => clamp(Math.round(depth * inverse(dmin)), 0, maxSixBits));
  packSixBits(scales, minimums, block, 4);
  return Uint8Array.from(values, (value, i) => {
    const sub = Math.floor(i / 32);
    const offset = dmin * (minimums[sub] ?? 0);
    return clamp(Math.round((value + offset) * inverse(d * (scales[sub] ?? 0))), 0, maxCode);
  });
}

/**
 * 12 bytes: scales 0-3 and minimums 0-3 in the low six bits of bytes 0-3 and 4-7; bytes 8-11 hold the low nibbles
 * of scales and minimums 4-7, whose upper two bits top bytes 0-7.
 */
function packSixBits(
  scales: readonly number[],
  minimums: readonly number[],
  block: DataView,
  at: number,
): void {
  for (let i = 0; i < 4; i++) {
    const lateScale = scales[i + 4] ?? 0;
    const lateMinimum = minimums[i + 4] ?? 0;
    block.setUint8(at + i, (scales[i] ?? 0) | ((lateScale >> 4) << 6));
    block.setUint8(at + 4 + i, (minimums[i] ?? 0) | ((lateMinimum >> 4) << 6));
    block.setUint8(at + 8 + i, (lateScale & 15) | ((lateMinimum & 15) << 4));
  }
}

/** 32 bytes for each pair of sub-blocks: low nibbles are the even one's, high nibbles the odd one's. */
function packPairedNibbles(codes: Uint8Array, block: DataView, at: number): void {
  for (let pair = 0; pair < subBlocks / 2; pair++) {
    for (let i = 0; i < 32; i++) {
      const low = (codes[64 * pair + i] ?? 0) & 15;
      const high = (codes[64 * pair + 32 + i] ?? 0) & 15;
      block.setUint8(at + 32 * pair + i, low | (high << 4));
    }
  }
}
