/**
 * Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011). A number is a pure function of (seed, position, purpose), so a seeded request draws the same
 * numbers whatever else shares its steps, and however often a step is retried.
 */

/** What a number is drawn for; numbers of different purposes are independent. Values are part of the stream. */
export const rngPurposes = {
  /** Choosing a token from the distribution. */
  sample: 1,
  /** Accepting or rejecting a draft token. */
  accept: 2,
  /** Choosing the recovered token after a rejection. */
  residual: 3,
  /** Choosing a draft token. */
  draft: 4,
} as const;

/** A name from {@link rngPurposes}. */
export type RngPurpose = keyof typeof rngPurposes;

/** Four unsigned 32-bit words. */
export type Words4 = readonly [number, number, number, number];

/** Two unsigned 32-bit words. */
export type Words2 = readonly [number, number];

const multiplierA = 0xd2511f53;
const multiplierB = 0xcd9e8d57;
const weylA = 0x9e3779b9;
const weylB = 0xbb67ae85;
const rounds = 10;

/** High 32 bits of the 64-bit product of two unsigned 32-bit words, by 16-bit halves. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = (middle & 0xffff) + aLow * bHigh;
  // Each term is below 2^32 and their sum is the exact high word, so float64 holds it without rounding.
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/** The Philox4x32-10 bijection of `counter` under `key`. */
export function philox4x32(counter: Words4, key: Words2): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < rounds; round += 1) {
    const highA = multiplyHigh(multiplierA, c0);
    const lowA = Math.imul(multiplierA, c0);
    const highB = multiplyHigh(multiplierB, c2);
    const lowB = Math.imul(multiplierB, c2);
    c0 = (highB ^ c1 ^ k0) >>> 0;
    c1 = lowB >>> 0;
    c2 = (highA ^ c3 ^ k1) >>> 0;
    c3 = lowA >>> 0;
    k0 = (k0 + weylA) >>> 0;
    k1 = (k1 + weylB) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/**
 * A number in [0, 1) with 53 random bits.
 *
 * @param seed - integer from 0 to 2^53 - 1
 * @param position - index of the token that the number decides, from 0 to 2^32 - 1
 * @param purpose - what it is drawn for
 */
export function uniform(seed: number, position: number, purpose: RngPurpose): number {
  const key: Words2 = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
  const [high, low] = philox4x32([position >>> 0, rngPurposes[purpose], 0, 0], key);
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
}
