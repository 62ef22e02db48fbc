import { describe, expect, test } from "vitest";

import { type Schedulable, shareStep } from "../../../lib/engine/scheduler.js";

function sequence(arrival: number, computed: number, known: number, logitsFrom = known - 1): Schedulable {
  const rank = { priority: 0, admission: arrival, arrival };
  return { ...rank, computedTokens: computed, knownTokens: known, logitsFrom };
}

const unlimited = (): number => Infinity;
const byArrival = (prompts: readonly Schedulable[]): readonly Schedulable[] =>
  [...prompts].sort((a, b) => a.arrival - b.arrival);

function takes(
  sequences: readonly Schedulable[],
  tokens: number,
  rows = 100,
  promptTokens: (decodeTokens: number) => number = unlimited,
): (readonly number[])[] {
  return shareStep(sequences, { tokens, rows, promptTokens }, byArrival).map((share) => [
    share.sequence.arrival,
    share.tokens,
    share.rows,
  ]);
}

describe("shareStep", () => {
  test("puts decoding sequences before prefill, both in order of arrival", () => {
    const shares = takes([sequence(3, 10, 11), sequence(1, 0, 40), sequence(2, 20, 21)], 32);
    expect(shares).toEqual([
      [2, 1, 1],
      [3, 1, 1],
      [1, 30, 0],
    ]);
  });

  test("gives prefill first come, first served chunks; only the last chunk has logits", () => {
    expect(takes([sequence(1, 0, 20), sequence(2, 0, 20)], 32)).toEqual([
      [1, 20, 1],
      [2, 12, 0],
    ]);
    expect(takes([sequence(2, 12, 20)], 32)).toEqual([[2, 8, 1]]);
  });

  test("lets a short new prompt wait for the older prefill", () => {
    expect(takes([sequence(1, 0, 40), sequence(2, 0, 5)], 32)).toEqual([[1, 32, 0]]);
  });

  test("skips sequences without pending tokens or without budget", () => {
    expect(takes([sequence(1, 5, 5), sequence(2, 0, 4), sequence(3, 0, 4)], 4)).toEqual([[2, 4, 1]]);
  });

  test("shortens a share whose rows do not fit, and counts rows over all shares", () => {
    expect(takes([sequence(1, 0, 30, 10)], 32, 5)).toEqual([[1, 15, 5]]);
    expect(takes([sequence(1, 0, 10, 8), sequence(2, 0, 10, 8)], 32, 3)).toEqual([
      [1, 10, 2],
      [2, 9, 1],
    ]);
  });

  test("gives prompts what the budget allows beside the tokens of short runs", () => {
    const asked: number[] = [];
    const budget = (decodeTokens: number): number => {
      asked.push(decodeTokens);
      return decodeTokens === 0 ? Infinity : 10;
    };
    const prompts = [sequence(1, 0, 7), sequence(2, 0, 40)];
    expect(takes([...prompts, sequence(3, 20, 21), sequence(4, 8, 11, 8)], 32, 100, budget)).toEqual([
      [3, 1, 1],
      [4, 3, 3],
      [1, 7, 1],
      [2, 3, 0],
    ]);
    expect(takes(prompts, 32, 100, budget)).toEqual([
      [1, 7, 1],
      [2, 25, 0],
    ]);
    expect(asked).toEqual([4, 0]);
  });

  test("counts several wanted rows of a verification as one short run", () => {
    expect(takes([sequence(1, 0, 100), sequence(2, 50, 55, 50)], 32)).toEqual([
      [2, 5, 5],
      [1, 27, 0],
    ]);
  });
});
