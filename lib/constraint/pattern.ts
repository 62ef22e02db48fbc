import { AirError, invalidArgument } from "../errors/air-error.js";
import { unsupported } from "../model/model-errors.js";
import type { Automaton } from "./automaton.js";
import { toAutomaton } from "./determinize.js";
import { characterIn, quoted } from "./json-string.js";
import { PatternReader } from "./pattern-reader.js";
import { choice, type CodePointRange, type Regular, repeat, sequence } from "./regular.js";

/**
 * Characters that "." and negated classes stand for end here. Without the u flag, which JSON Schema does not record, a
 * character beyond counts as two, so a text with one could match here and not there.
 */
const lastNarrow = 0xffff;
const anything = repeat(characterIn({ low: 0, high: lastNarrow }));
const lineEnds = [0x0a, 0x0d, 0x2028, 0x2029];
const digits: readonly CodePointRange[] = [{ low: 0x30, high: 0x39 }];
const wordCharacters: readonly CodePointRange[] = [
  ...digits,
  { low: 0x41, high: 0x5a },
  { low: 0x5f, high: 0x5f },
  { low: 0x61, high: 0x7a },
];
/** What \s stands for in ECMAScript: WhiteSpace and LineTerminator. */
const spaces: readonly CodePointRange[] = [
  { low: 0x09, high: 0x0d },
  ...[0x20, 0xa0, 0x1680].map(only),
  { low: 0x2000, high: 0x200a },
  ...[0x2028, 0x2029, 0x202f, 0x205f, 0x3000, 0xfeff].map(only),
];
const classes: Readonly<Record<string, readonly CodePointRange[]>> = {
  d: digits,
  w: wordCharacters,
  s: spaces,
  D: complement(digits),
  W: complement(wordCharacters),
  S: complement(spaces),
};
const controls: Readonly<Record<string, number>> = { n: 0x0a, r: 0x0d, t: 0x09, f: 0x0c, v: 0x0b, 0: 0 };

/**
 * JSON strings in which a JavaScript regular expression finds a match, escaped as JSON.stringify does.
 *
 * @throws {AirError} AIR_ERR_ARGUMENT when it is none, AIR_ERR_UNSUPPORTED for assertions other than "^" at the start
 *   and "$" at the end, back references and \p
 */
export function patternAutomaton(pattern: string): Automaton {
  assertRegExp(pattern);
  return toAutomaton(quoted(new PatternParser(pattern).parse()));
}

function assertRegExp(pattern: string): void {
  for (const flags of ["u", ""]) {
    try {
      new RegExp(pattern, flags);
      return;
    } catch (error) {
      if (flags === "") throw new AirError("AIR_ERR_ARGUMENT", notRegExp(pattern).message, { cause: error });
    }
  }
}

function notRegExp(pattern: string): AirError {
  return invalidArgument("pattern in the schema", "a regular expression", pattern);
}

function only(codePoint: number): CodePointRange {
  return { low: codePoint, high: codePoint };
}

/** All characters up to lastNarrow that are in none of the ranges. */
function complement(ranges: readonly CodePointRange[]): readonly CodePointRange[] {
  const gaps: CodePointRange[] = [];
  let next = 0;
  for (const { low, high } of [...ranges].sort((a, b) => a.low - b.low)) {
    if (low > next) gaps.push({ low: next, high: low - 1 });
    next = Math.max(next, high + 1);
  }
  return next <= lastNarrow ? [...gaps, { low: next, high: lastNarrow }] : gaps;
}

function anyOf(ranges: readonly CodePointRange[]): Regular {
  return choice(...ranges.map(characterIn));
}

/** Reads by precedence: alternatives, terms, quantifiers, atoms. */
class PatternParser {
  readonly #pattern: string;
  readonly #reader: PatternReader;

  constructor(pattern: string) {
    this.#pattern = pattern;
    this.#reader = new PatternReader(pattern);
  }

  /** Alternatives that are not held by "^" and "$" may have anything around them. */
  parse(): Regular {
    const options: Regular[] = [];
    do {
      const before = this.#reader.take("^") ? [] : [anything];
      const terms = this.#terms();
      const after = this.#reader.take("$") ? [] : [anything];
      options.push(sequence(...before, terms, ...after));
    } while (this.#reader.take("|"));
    if (!this.#reader.done) throw this.#unsupported();
    return choice(...options);
  }

  #alternatives(): Regular {
    const options = [this.#terms()];
    while (this.#reader.take("|")) options.push(this.#terms());
    return choice(...options);
  }

  #terms(): Regular {
    const items: Regular[] = [];
    while (!this.#reader.done && !["|", ")", "$"].includes(this.#reader.peek()))
      items.push(this.#quantified());
    return sequence(...items);
  }

  #quantified(): Regular {
    const atom = this.#atom();
    const times = this.#times();
    if (times === undefined) return atom;
    this.#reader.take("?"); // lazy: matches the same texts
    return repeat(atom, times.min, times.max);
  }

  #times(): { readonly min: number; readonly max: number } | undefined {
    if (this.#reader.take("*")) return { min: 0, max: Infinity };
    if (this.#reader.take("+")) return { min: 1, max: Infinity };
    if (this.#reader.take("?")) return { min: 0, max: 1 };
    const counts = this.#reader.match(/^\{(\d+)(,?)(\d*)\}/);
    if (counts === undefined) return undefined;
    const [, min = "", comma = "", max = ""] = counts;
    if (comma === "") return { min: Number(min), max: Number(min) };
    return { min: Number(min), max: max === "" ? Infinity : Number(max) };
  }

  #atom(): Regular {
    if (this.#reader.take("(")) return this.#group();
    if (this.#reader.take("[")) return anyOf(this.#characterClass());
    if (this.#reader.take(".")) return anyOf(complement(lineEnds.map(only)));
    if (this.#reader.take("\\")) return anyOf(this.#escape());
    if (["^", "*", "+", "?"].includes(this.#reader.peek())) throw this.#unsupported();
    return characterIn(only(this.#reader.next()));
  }

  #group(): Regular {
    const head = this.#reader.match(/^\?(:|<[^=!>][^>]*>)/);
    if (head === undefined && this.#reader.peek() === "?") throw this.#unsupported();
    const inside = this.#alternatives();
    if (!this.#reader.take(")")) throw this.#unsupported();
    return inside;
  }

  #characterClass(): readonly CodePointRange[] {
    const negated = this.#reader.take("^");
    const ranges: CodePointRange[] = [];
    while (!this.#reader.take("]")) {
      const low = this.#classMember();
      const single = low.length === 1 && low[0]?.low === low[0]?.high ? low[0] : undefined;
      if (single === undefined || this.#reader.match(/^-(?!\])/) === undefined) {
        ranges.push(...low);
        continue;
      }
      const [high] = this.#classMember();
      if (high === undefined || high.low !== high.high || high.low < single.low) throw this.#unsupported();
      ranges.push({ low: single.low, high: high.high });
    }
    return negated ? complement(ranges) : ranges;
  }

  #classMember(): readonly CodePointRange[] {
    if (!this.#reader.take("\\")) return [only(this.#reader.next())];
    return this.#reader.take("b") ? [only(0x08)] : this.#escape();
  }

  /** What a backslash makes of the next character. */
  #escape(): readonly CodePointRange[] {
    const hex = this.#reader.match(/^(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|u\{([\da-fA-F]+)\})/);
    if (hex !== undefined) return [only(Number.parseInt(hex[1] ?? hex[2] ?? hex[3] ?? "", 16))];
    const letter = this.#reader.peek();
    const found = classes[letter];
    if (found === undefined && !(letter in controls) && /[a-zA-Z\d]/.test(letter)) throw this.#unsupported();
    const codePoint = this.#reader.next();
    return found ?? [only(controls[letter] ?? codePoint)];
  }

  #unsupported(): AirError {
    return unsupported(
      `pattern in the schema at character ${this.#reader.position + 1}`,
      'a regular expression without assertions (but "^" at the start and "$" at the end), back references and \\p',
      this.#pattern,
    );
  }
}
