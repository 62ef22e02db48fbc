import { type Automaton, dead } from "./automaton.js";
import { toAutomaton } from "./determinize.js";
import {
  bytes,
  choice,
  codePoints,
  type CodePointRange,
  literal,
  literals,
  oneOf,
  type Regular,
  repeat,
  sequence,
} from "./regular.js";

const quote = literal('"');
const hexDigit = choice(bytes(0x30, 0x39), bytes(0x41, 0x46), bytes(0x61, 0x66));
const highestCodePoint = 0x10ffff;

/** What a string may hold as it is: all but quotes, backslashes and control characters. */
const plainRanges: readonly CodePointRange[] = [
  { low: 0x20, high: 0x21 },
  { low: 0x23, high: 0x5b },
  { low: 0x5d, high: highestCodePoint },
];
const plainCharacter = choice(...plainRanges.map(codePoints));
const shortEscape = sequence(literal("\\"), oneOf('"\\/bfnrt'));

/** `\uXXXX` of a character that is no surrogate. */
const longEscape = sequence(
  literal("\\u"),
  choice(
    sequence(choice(bytes(0x30, 0x39), oneOf("abcefABCEF")), repeat(hexDigit, 3, 3)),
    sequence(oneOf("dD"), bytes(0x30, 0x37), repeat(hexDigit, 2, 2)),
  ),
);
/** A high and a low surrogate; one alone is not text. */
const escapedPair = sequence(
  literal("\\u"),
  oneOf("dD"),
  oneOf("89abAB"),
  repeat(hexDigit, 2, 2),
  literal("\\u"),
  oneOf("dD"),
  oneOf("cdefCDEF"),
  repeat(hexDigit, 2, 2),
);

const singleCharacter = choice(plainCharacter, shortEscape, longEscape);

/** Characters that JSON.stringify escapes, and how. */
const escaped = [...Array(0x20).keys(), 0x22, 0x5c].map(
  (codePoint) => [codePoint, JSON.stringify(String.fromCodePoint(codePoint)).slice(1, -1)] as const,
);

/** Puts an expression of string contents between quotes. */
export function quoted(content: Regular): Regular {
  return sequence(quote, content, quote);
}

/** Any string, with any escapes. */
export const anyString: Automaton = toAutomaton(quoted(repeat(choice(singleCharacter, escapedPair))));

/** Any string as JSON.stringify writes it: escapes only where there must be one. */
export const plainString: Automaton = toAutomaton(
  quoted(repeat(characterIn({ low: 0, high: highestCodePoint }))),
);

/** One character of a range as JSON.stringify writes it. */
export function characterIn({ low, high }: CodePointRange): Regular {
  const options = plainRanges.flatMap((plain) => {
    const range = { low: Math.max(low, plain.low), high: Math.min(high, plain.high) };
    return range.low <= range.high ? [codePoints(range)] : [];
  });
  const escapes = escaped.flatMap(([codePoint, text]) =>
    low <= codePoint && codePoint <= high ? [text] : [],
  );
  return choice(...options, literals(escapes));
}

/** One character in a string whose length counts. Characters beyond U+FFFF are written as they are. */
const countedCharacter = toAutomaton(singleCharacter);
const quoteByte = 0x22;
/** First bytes from here on belong to characters beyond U+FFFF. */
const firstWideByte = 0xf0;

/**
 * Strings of a length in characters. JSON Schema counts code points and zod UTF-16 units, so the minimum is counted in
 * the former and the maximum in the latter: what is allowed is valid under both.
 *
 * A state holds how many characters are still needed and how many units are left beyond those. It is computed, not
 * looked up: a table would have a copy of the character's states for each count.
 */
export class CountedString implements Automaton {
  readonly start: number;
  readonly classOf: Uint8Array;
  readonly #needs: number;
  /** Units left beyond those that are needed do not count when there is no maximum. */
  readonly #unlimited: boolean;

  /** @param max - at least 0, or Infinity; together with `min` small enough for exact numbers */
  constructor(min: number, max: number) {
    this.#needs = min + 1;
    this.#unlimited = max === Infinity;
    this.classOf = splitQuotes(countedCharacter.classOf);
    this.start = max < min ? dead : this.#encode(this.#unlimited ? 0 : max - min, min, beforeQuote);
  }

  step(state: number, byte: number): number {
    const place = state % places;
    if (place === beforeQuote) return byte === quoteByte ? state - place + betweenCharacters : dead;
    if (place === afterQuote) return dead;
    if (place !== betweenCharacters)
      return this.#continue(state - place, countedCharacter.step(place - within, byte));
    const counts = (state - place) / places;
    const needed = counts % this.#needs;
    if (byte === quoteByte) return needed === 0 ? afterQuote : dead;
    const units = byte >= firstWideByte ? 2 : 1;
    const spare = Math.floor(counts / this.#needs) - (this.#unlimited ? 0 : units - (needed > 0 ? 1 : 0));
    if (spare < 0) return dead;
    const next = countedCharacter.step(countedCharacter.start, byte);
    return this.#continue(this.#encode(spare, Math.max(0, needed - 1), 0), next);
  }

  accepts(state: number): boolean {
    return state % places === afterQuote;
  }

  continues(state: number): boolean {
    return state % places !== afterQuote;
  }

  key(state: number, length: number): number {
    const place = state % places;
    const counts = (state - place) / places;
    const needed = Math.min(length, counts % this.#needs);
    const spare = Math.min(length, Math.floor(counts / this.#needs));
    return (spare * (length + 1) + needed) * places + place;
  }

  #continue(counts: number, character: number): number {
    if (character === dead) return dead;
    return counts + (countedCharacter.accepts(character) ? betweenCharacters : within + character);
  }

  #encode(spare: number, needed: number, place: number): number {
    return (spare * this.#needs + needed) * places + place;
  }
}

/** Where in the string a state is; from `within` on, in a character's own states. */
const beforeQuote = 0;
const betweenCharacters = 1;
const afterQuote = 2;
const within = 3;
/** More than `within` and the states of a character. */
const places = 64;

/** The classes of characters, with one more for the quote, which no character starts with. */
function splitQuotes(classOf: Uint8Array): Uint8Array {
  const classes = Math.max(...classOf) + 1;
  return classOf.map((number, byte) => (byte === quoteByte ? classes : number));
}
