import { describe, expect, test } from "vitest";

import { type Automaton, dead, intersect, subtract } from "../../../lib/constraint/automaton.js";
import { toAutomaton } from "../../../lib/constraint/determinize.js";
import { type NumberBounds, integerAutomaton, numberAutomaton } from "../../../lib/constraint/json-number.js";
import { anyString, CountedString } from "../../../lib/constraint/json-string.js";
import { patternAutomaton } from "../../../lib/constraint/pattern.js";
import { choice, codePoints, literals, repeat } from "../../../lib/constraint/regular.js";
import { uniform } from "../../../lib/util/rng.js";

function contains(automaton: Automaton, text: string): boolean {
  let state = automaton.start;
  for (const byte of Buffer.from(text)) {
    if (state === dead) return false;
    state = automaton.step(state, byte);
  }
  return state !== dead && automaton.accepts(state);
}

let drawn = 0;
function randomText(alphabet: string, longest: number): string {
  const letters = [...alphabet];
  const length = Math.floor(uniform(11, drawn++, "draft") * (longest + 1));
  return Array.from(
    { length },
    () => letters[Math.floor(uniform(11, drawn++, "draft") * letters.length)],
  ).join("");
}

/** Whether a random walk gets to a state that neither accepts nor goes on. */
function hasDeadEnds(automaton: Automaton): boolean {
  for (let walk = 0; walk < 200; walk += 1) {
    let state = automaton.start;
    for (let length = 0; length < 40 && automaton.continues(state); length += 1) {
      const bytes = Array.from({ length: 256 }, (_, byte) => byte).filter(
        (byte) => automaton.step(state, byte) !== dead,
      );
      if (bytes.length === 0) return true;
      state = automaton.step(state, bytes[Math.floor(uniform(walk, length, "draft") * bytes.length)] ?? NaN);
    }
    if (!automaton.continues(state) && !automaton.accepts(state)) return true;
  }
  return false;
}

describe("codePoints", () => {
  test.each([
    [0, 0x10ffff],
    [0x41, 0x41],
    [0x7e, 0x81],
    [0x3ff, 0x1234],
    [0xd700, 0xe001],
    [0xfffe, 0x10002],
    [0x2345f, 0x10abcd],
  ])("holds the characters from %i to %i", (low, high) => {
    const automaton = toAutomaton(codePoints({ low, high }));
    const edges = [0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff, low, high];
    for (const codePoint of edges.flatMap((edge) => [edge - 1, edge, edge + 1])) {
      if (codePoint < 0 || codePoint > 0x10ffff || (codePoint >= 0xd800 && codePoint <= 0xdfff)) continue;
      const isInside = codePoint >= low && codePoint <= high;
      expect(contains(automaton, String.fromCodePoint(codePoint)), codePoint.toString(16)).toBe(isInside);
    }
  });

  test("leaves out bytes that are no UTF-8", () => {
    const automaton = toAutomaton(codePoints({ low: 0, high: 0x10ffff }));
    const broken = [
      [0x80],
      [0xc0, 0x80],
      [0xe0, 0x80, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xff],
    ];
    for (const bytes of broken) {
      const state = bytes.reduce(
        (before, byte) => (before === dead ? dead : automaton.step(before, byte)),
        automaton.start,
      );
      expect(state).toBe(dead);
    }
  });
});

describe("intersect and subtract", () => {
  const words = (texts: readonly string[]): Automaton => toAutomaton(literals(texts));

  test("hold what both, or only the first, holds", () => {
    const left = words(["a", "ab", "abc", "b", ""]);
    const right = words(["ab", "abcd", "b", ""]);
    const held = (automaton: Automaton): string[] =>
      ["", "a", "ab", "abc", "abcd", "b"].filter((text) => contains(automaton, text));
    expect(held(intersect(left, right))).toEqual(["", "ab", "b"]);
    expect(held(subtract(left, right))).toEqual(["a", "abc"]);
  });

  test("have no start when nothing is left", () => {
    expect(intersect(words(["a"]), words(["b"])).start).toBe(dead);
    expect(subtract(words(["a"]), words(["a", "b"])).start).toBe(dead);
    expect(toAutomaton(choice()).start).toBe(dead);
  });

  test("cut off what cannot end any more", () => {
    const pairs = toAutomaton(repeat(literals(["ab"])));
    const automaton = intersect(pairs, toAutomaton(repeat(literals(["a", "b"]), 0, 5)));
    expect(contains(automaton, "abab")).toBe(true);
    expect(
      [..."ababa"].reduce((state, letter) => automaton.step(state, letter.charCodeAt(0)), automaton.start),
    ).toBe(dead);
  });
});

describe("integerAutomaton", () => {
  test.each([
    [3, 12],
    [-5, 5],
    [-120, -7],
    [0, 0],
    [95, 1005],
    [-1, 0],
    [-1000, 99],
  ])("holds the integers from %i to %i", (minimum, maximum) => {
    const automaton = integerAutomaton({ minimum, maximum });
    for (let value = -1300; value <= 1300; value += 1) {
      expect(contains(automaton, String(value)), String(value)).toBe(value >= minimum && value <= maximum);
    }
    for (const text of ["", "-", "-0", "00", "03", "3.0", "3e0", "+3"])
      expect(contains(automaton, text), text).toBe(false);
  });

  test("rounds bounds inwards and stays within exact integers", () => {
    const rounded = integerAutomaton({ minimum: 1.5, exclusiveMaximum: 4 });
    expect(["1", "2", "3", "4"].map((text) => contains(rounded, text))).toEqual([false, true, true, false]);
    const any = integerAutomaton({ maximum: 1e300 });
    expect(contains(any, "9007199254740991")).toBe(true);
    expect(contains(any, "9007199254740992")).toBe(false);
  });
});

describe("numberAutomaton", () => {
  const allBounds: readonly NumberBounds[] = [
    { minimum: 0.5, maximum: 1 },
    { exclusiveMinimum: 0 },
    { minimum: -1.25, exclusiveMaximum: 3.5 },
    { minimum: 9.99, maximum: 100.01 },
    { maximum: -0.001 },
    { minimum: 1e-7, maximum: 1e21 },
    { exclusiveMinimum: 0, exclusiveMaximum: 1 },
    { minimum: -3.4e38, exclusiveMinimum: 2 },
  ];

  test.each(allBounds)("holds exactly the decimals within %o", (bounds) => {
    const automaton = numberAutomaton(bounds);
    const { minimum = -Infinity, maximum = Infinity } = bounds;
    const { exclusiveMinimum = -Infinity, exclusiveMaximum = Infinity } = bounds;
    for (let round = 0; round < 4000; round += 1) {
      const scale = [1, 3, 10, 250][round % 4] ?? 1;
      const text = ((uniform(5, round, "draft") - 0.5) * 2 * scale).toFixed(round % 6);
      const value = Number(text);
      if (Object.is(value, -0)) continue;
      const isWithin =
        value >= minimum && value <= maximum && value > exclusiveMinimum && value < exclusiveMaximum;
      expect(contains(automaton, text), text).toBe(isWithin);
    }
    expect(hasDeadEnds(automaton)).toBe(false);
  });
});

describe("CountedString", () => {
  test.each([
    [0, 3],
    [2, 4],
    [3, 3],
    [2, Infinity],
  ])("holds strings of %d to %d characters", (min, max) => {
    const automaton = new CountedString(min, max);
    for (let round = 0; round < 2000; round += 1) {
      const text = randomText('ab\u00e9\u4e2d\u{1f600}\n"\\', 6);
      const isWithin = [...text].length >= min && text.length <= max;
      expect(contains(automaton, JSON.stringify(text)), text).toBe(isWithin);
    }
    expect(hasDeadEnds(automaton)).toBe(false);
  });

  test("is empty when the lengths cross", () => {
    expect(new CountedString(3, 2).start).toBe(dead);
  });

  test("gives states one key only if short texts cannot tell them apart", () => {
    const automaton = new CountedString(3, 12);
    const longest = 4;
    const after = (text: string): number =>
      [...Buffer.from(text)].reduce((state, byte) => automaton.step(state, byte), automaton.start);
    const states = ["", "a", "ab", "abc", "abcd", "abcdef", "abcdefgh", "abcdefghi", "abcdefghijkl"].map(
      (text) => after(`"${text}`),
    );
    const texts = ["", "x", '"', 'x"', 'xx"', 'xxx"', "xxxx", "\u{1f600}", '\\n"', 'x\\n"'];
    const behaviour = (state: number): string =>
      texts
        .map((text) => {
          const end = [...Buffer.from(text)].reduce(
            (now, byte) => (now === dead ? dead : automaton.step(now, byte)),
            state,
          );
          return end === dead ? "dead" : String(automaton.accepts(end));
        })
        .join();
    for (const a of states) {
      for (const b of states) {
        if (automaton.key(a, longest) === automaton.key(b, longest)) expect(behaviour(a)).toBe(behaviour(b));
      }
    }
    expect(new Set(states.map((state) => automaton.key(state, longest))).size).toBeLessThan(states.length);
  });
});

describe("patternAutomaton", () => {
  const patterns = [
    "^a*$",
    "b",
    "^(a|b)*c$",
    "^[^a-c\\d]+$",
    "^a{2,3}?b{2}c{1,}$",
    "a.c",
    "^\\w+\\s?\\W$",
    "^(?:ab|(?<n>c))+$",
    "\\.",
    "^\\x61\\u0062",
    "^$|^a",
    "^[\\w.-]+@[a-c]",
    "^a|c$",
    "[\\]\\-a]",
    "^[-a]b",
    "^[a-]+$",
    "\\/",
    "^a\\tb|\\\\",
    "^\\D\\S?$",
    "",
    "^[\\b]?a",
    "^.?$",
  ];
  const alphabet = 'abcdAB019_ .-@/]\\\t\n"\u00e9\u2028';

  test.each(patterns)("holds the strings in which %j finds a match", (pattern) => {
    const automaton = patternAutomaton(pattern);
    const expression = new RegExp(pattern, "");
    for (let round = 0; round < 3000; round += 1) {
      const text = randomText(round % 2 === 0 ? alphabet : "abc", 6);
      expect(contains(automaton, JSON.stringify(text)), text).toBe(expression.test(text));
    }
    expect(hasDeadEnds(automaton)).toBe(false);
  });

  test.each([
    "a\\b",
    "(?=a)b",
    "(?!a)b",
    "(?<!a)b",
    "\\p{L}",
    "(a)\\1",
    "a^b",
    "a$b",
    "(^a)",
    "\\cA",
    "\\k<n>(?<n>a)",
  ])("refuses %j", (pattern) => {
    expect(() => patternAutomaton(pattern)).toThrow(expect.objectContaining({ code: "AIR_ERR_UNSUPPORTED" }));
  });

  test("leaves characters beyond U+FFFF to patterns that name them", () => {
    expect(contains(patternAutomaton("^.$"), '"\u{1f600}"')).toBe(false);
    expect(contains(patternAutomaton("^\u{1f600}+$"), '"\u{1f600}\u{1f600}"')).toBe(true);
    expect(contains(patternAutomaton("^[\\u{1f600}-\\u{1f640}]$"), '"\u{1f610}"')).toBe(true);
  });
});

describe("anyString", () => {
  test("holds what JSON.parse reads as text", () => {
    const texts = [
      '"\\ud83d\\ude00"',
      '"\\ud83d"',
      '"\\uDE00"',
      '"\\ud83dx"',
      '"\\u00g0"',
      '"\\/"',
      '"\t"',
      '"\u007f"',
      '"a"b"',
    ];
    for (const text of texts) {
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch {
        value = undefined;
      }
      expect(contains(anyString, text), text).toBe(
        typeof value === "string" && !/\p{Surrogate}/u.test(value),
      );
    }
  });
});
