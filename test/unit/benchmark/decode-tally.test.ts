import { describe, expect, test } from "vitest";

import { compareRounds, type DecodeTally, sumTallies } from "../../../lib/benchmark/decode-tally.js";

function tally(tokens: number, ms: number, drafts: Partial<DecodeTally> = {}): DecodeTally {
  return { tokens, ms, drafted: 0, accepted: 0, cycles: 0, ...drafts };
}

describe("sumTallies", () => {
  test("adds each count up", () => {
    const tallies = [
      tally(10, 100, { drafted: 8, accepted: 4, cycles: 2 }),
      tally(1, 2, { drafted: 1, accepted: 0, cycles: 1 }),
    ];
    expect(sumTallies(tallies)).toEqual(tally(11, 102, { drafted: 9, accepted: 4, cycles: 3 }));
  });
});

describe("compareRounds", () => {
  test("compares each round with target-only generation of the same round", () => {
    // The machine slows down to half from the first round to the second: ratios stay, rates do not.
    const comparison = compareRounds(
      [tally(100, 1000), tally(100, 2000), tally(100, 2000)],
      [tally(100, 500), tally(100, 1000), tally(100, 2000)],
    );
    expect(comparison.speedup).toEqual({ median: 2, min: 1, max: 2 });
    expect(comparison.targetOnly.tokensPerSecond).toBe(50);
    expect(comparison.speculative.tokensPerSecond).toBe(100);
  });

  test("compares rates, so that texts of another length compare too", () => {
    expect(compareRounds([tally(100, 1000)], [tally(50, 250)]).speedup.median).toBe(2);
  });

  test("takes acceptance over all rounds", () => {
    const rounds = [
      tally(100, 1, { drafted: 40, accepted: 30, cycles: 10 }),
      tally(100, 1, { drafted: 20, accepted: 0, cycles: 5 }),
    ];
    expect(compareRounds([tally(100, 1), tally(100, 1)], rounds)).toMatchObject({
      drafted: 60,
      accepted: 30,
      cycles: 15,
      acceptanceRate: 0.5,
      meanAcceptanceLength: 3,
    });
  });

  test("has a rate of 0 and one token a step without drafts", () => {
    expect(compareRounds([tally(4, 1)], [tally(4, 1)])).toMatchObject({
      acceptanceRate: 0,
      meanAcceptanceLength: 1,
    });
  });
});
