import { describe, expect, test } from "vitest";

import { StopMatcher } from "../../../lib/decoding/stop.js";

/** What comes out piece by piece, then the rest. */
function stream(stops: readonly string[], pieces: readonly string[]): { out: string[]; stopped: boolean } {
  const matcher = new StopMatcher(stops);
  const out: string[] = [];
  for (const piece of pieces) {
    const { text, stopped } = matcher.push(piece);
    out.push(text);
    if (stopped) return { out, stopped };
  }
  return { out: [...out, matcher.flush()], stopped: false };
}

describe("StopMatcher", () => {
  test("passes text through without stop strings", () => {
    expect(stream([], ["a", "b"])).toEqual({ out: ["a", "b", ""], stopped: false });
  });

  test("finds a stop string across pieces and emits none of it", () => {
    expect(stream(["END"], ["text E", "N", "D more"])).toEqual({ out: ["text ", "", ""], stopped: true });
  });

  test("releases held text once it cannot become a stop string", () => {
    expect(stream(["END"], ["E", "N", "x"])).toEqual({ out: ["", "", "ENx", ""], stopped: false });
  });

  test("keeps holding a shorter start when a longer one fails", () => {
    expect(stream(["aab"], ["a", "a", "a", "b"])).toEqual({ out: ["", "", "a", ""], stopped: true });
  });

  test("cuts at the earliest of several stop strings", () => {
    expect(stream(["world", "lo w"], ["hello world"])).toEqual({ out: ["hel"], stopped: true });
  });

  test("emits what is held at the end of the text", () => {
    expect(stream(["\n\n"], ["line\n"])).toEqual({ out: ["line", "\n"], stopped: false });
  });

  test("agrees with searching the whole text, however it is cut", () => {
    const text = "abacabadabacaba";
    for (const stop of ["cab", "bad", "aba", "dab", "zzz", "caba"]) {
      for (let cut = 1; cut < text.length; cut += 1) {
        const pieces = text.match(new RegExp(`.{1,${cut}}`, "g")) ?? [];
        const found = text.indexOf(stop);
        const expected = found < 0 ? text : text.slice(0, found);
        expect(stream([stop], pieces).out.join("")).toBe(expected);
      }
    }
  });
});
