/**
 * Hashes of n-grams: FNV-1a over UTF-16 code units, then MurmurHash3's final mix, since the low bits of FNV-1a of
 * short texts are not spread well. Values are part of the router file's format.
 */

const fnvPrime = 0x01000193;
const fnvOffset = 0x811c9dc5;

/** The hash of no text in a namespace; texts of different namespaces have unrelated hashes. */
export function hashStart(namespace: number): number {
  return Math.imul(fnvOffset ^ namespace, fnvPrime);
}

/** The hash of a text with one more code unit. */
export function hashStep(hash: number, codeUnit: number): number {
  return Math.imul(hash ^ codeUnit, fnvPrime);
}

/** The hash of a text with a word more. */
export function hashWord(hash: number, word: string): number {
  let next = hash;
  for (let i = 0; i < word.length; i += 1) next = hashStep(next, word.charCodeAt(i));
  return next;
}

/** Where a hash goes among `buckets`, which is a power of two. */
export function bucketOf(hash: number, buckets: number): number {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  mixed ^= mixed >>> 16;
  return (mixed >>> 0) & (buckets - 1);
}
