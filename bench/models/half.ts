const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

/** The float16 bits nearest to `value`, ties to even; what exceeds float16 becomes infinite. */
export function floatToHalf(value: number): number {
  scratchFloat[0] = value;
  const bits = scratchBits[0] ?? 0;
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 127;
  const mantissa = bits & 0x7fffff;
  if (exponent === 128) return sign | 0x7c00 | (mantissa === 0 ? 0 : 0x200);
  if (exponent > 15) return sign | 0x7c00;
  if (exponent >= -14) {
    // Adding instead of or-ing lets a mantissa that rounds up carry into the exponent.
    return sign | (((exponent + 15) << 10) + roundShift(mantissa, 13));
  }
  if (exponent < -25) return sign;
  return sign | roundShift(mantissa | 0x800000, -exponent - 1);
}

/** The value of float16 bits. */
export function halfToFloat(half: number): number {
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** The bfloat16 bits nearest to a finite `value`, ties to even. */
export function floatToBrain(value: number): number {
  scratchFloat[0] = value;
  const bits = scratchBits[0] ?? 0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The value of bfloat16 bits. */
export function brainToFloat(brain: number): number {
  scratchBits[0] = brain << 16;
  return scratchFloat[0] ?? 0;
}

/** `value` shifted right by `bits`, rounded to nearest, ties to even. */
function roundShift(value: number, bits: number): number {
  const half = 1 << (bits - 1);
  const kept = value >>> bits;
  const rest = value & ((1 << bits) - 1);
  return rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept;
}
