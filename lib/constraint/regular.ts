/**
 * Regular languages over bytes, as expressions. Everything in JSON but its nesting is one of these; automaton.ts turns
 * them into tables.
 */
export type Regular =
  | { readonly kind: "bytes"; readonly low: number; readonly high: number }
  | { readonly kind: "sequence"; readonly items: readonly Regular[] }
  | { readonly kind: "choice"; readonly options: readonly Regular[] }
  | { readonly kind: "repeat"; readonly item: Regular; readonly min: number; readonly max: number };

/** Code points from `low` to `high`, both included. */
export interface CodePointRange {
  readonly low: number;
  readonly high: number;
}

/** One byte from `low` to `high`, both included. */
export function bytes(low: number, high: number = low): Regular {
  return { kind: "bytes", low, high };
}

/** One after the other; without items the empty text. */
export function sequence(...items: readonly Regular[]): Regular {
  return { kind: "sequence", items };
}

/** Any one of them; without options nothing at all, not even the empty text. */
export function choice(...options: readonly Regular[]): Regular {
  return { kind: "choice", options };
}

/** From `min` to `max` times, by default any number of times. */
export function repeat(item: Regular, min = 0, max = Infinity): Regular {
  return { kind: "repeat", item, min, max };
}

/** Once or not at all. */
export function optional(item: Regular): Regular {
  return repeat(item, 0, 1);
}

/** The UTF-8 bytes of a text. */
export function literal(text: string): Regular {
  return sequence(...Array.from(Buffer.from(text), (byte) => bytes(byte)));
}

/** Any of these texts; those that begin alike share their beginning. */
export function literals(texts: readonly string[]): Regular {
  return byteStrings(texts.map((text) => [...Buffer.from(text)]));
}

function byteStrings(strings: readonly (readonly number[])[]): Regular {
  const [only, ...others] = strings;
  if (only !== undefined && others.length === 0) return sequence(...only.map((byte) => bytes(byte)));
  const byFirst = new Map<number, (readonly number[])[]>();
  for (const [first, ...rest] of strings) {
    if (first !== undefined) byFirst.set(first, [...(byFirst.get(first) ?? []), rest]);
  }
  const options = Array.from(byFirst, ([first, rests]) => sequence(bytes(first), byteStrings(rests)));
  const mayEnd = strings.some((string) => string.length === 0);
  return mayEnd ? choice(sequence(), ...options) : choice(...options);
}

/** One of these ASCII characters. */
export function oneOf(characters: string): Regular {
  return choice(...Array.from(Buffer.from(characters), (byte) => bytes(byte)));
}

/** Largest code point by number of UTF-8 bytes. */
const largestByLength = [0x7f, 0x7ff, 0xffff, 0x10ffff] as const;
const surrogates: CodePointRange = { low: 0xd800, high: 0xdfff };

/** The UTF-8 of one code point of the range; surrogates, which have none, are left out. */
export function codePoints({ low, high }: CodePointRange): Regular {
  const options: Regular[] = [];
  const cuts = [...largestByLength, surrogates.low - 1, surrogates.high].sort((a, b) => a - b);
  let from = low;
  for (const cut of cuts) {
    const to = Math.min(cut, high);
    if (from > to) continue;
    if (from < surrogates.low || from > surrogates.high) options.push(sameLength(utf8(from), utf8(to)));
    from = to + 1;
  }
  return choice(...options);
}

function utf8(codePoint: number): readonly number[] {
  return [...Buffer.from(String.fromCodePoint(codePoint))];
}

/** Sequences of equal length between two, in byte order; all bytes but the first are continuation bytes. */
function sameLength(low: readonly number[], high: readonly number[]): Regular {
  const [firstLow = 0, ...restLow] = low;
  const [firstHigh = 0, ...restHigh] = high;
  if (restLow.length === 0) return bytes(firstLow, firstHigh);
  if (firstLow === firstHigh) return sequence(bytes(firstLow), sameLength(restLow, restHigh));
  const smallest = restLow.map(() => 0x80);
  const largest = restLow.map(() => 0xbf);
  const lowIsWhole = restLow.every((byte) => byte === 0x80);
  const highIsWhole = restHigh.every((byte) => byte === 0xbf);
  const wholeLow = lowIsWhole ? firstLow : firstLow + 1;
  const wholeHigh = highIsWhole ? firstHigh : firstHigh - 1;
  const options: Regular[] = [];
  if (!lowIsWhole) options.push(sequence(bytes(firstLow), sameLength(restLow, largest)));
  if (wholeLow <= wholeHigh) {
    options.push(sequence(bytes(wholeLow, wholeHigh), ...smallest.map((byte, i) => bytes(byte, largest[i]))));
  }
  if (!highIsWhole) options.push(sequence(bytes(firstHigh), sameLength(smallest, restHigh)));
  return choice(...options);
}
