import { describe, expect, test } from "vitest";

import { buildStep } from "../../../lib/benchmark/step-runner.js";

describe("buildStep", () => {
  test("writes the new tokens of each sequence behind its own cached ones", () => {
    const batch = buildStep(
      { sequences: 2, pagesEach: 3, cachedTokens: 15, newTokens: 2, logits: "last" },
      16,
      100,
    );
    expect([...batch.positions]).toEqual([15, 16, 15, 16]);
    expect([...batch.slots]).toEqual([16 + 15, 2 * 16, 4 * 16 + 15, 5 * 16]);
    expect([...batch.sequenceStarts]).toEqual([0, 2, 4]);
    expect([...batch.pageTables]).toEqual([1, 2, 4, 5]);
    expect([...batch.contextLengths]).toEqual([17, 17]);
    expect([...batch.logitRows]).toEqual([1, 3]);
  });

  test("asks for the logits of every row of a verification", () => {
    const batch = buildStep(
      { sequences: 1, pagesEach: 1, cachedTokens: 3, newTokens: 4, logits: "all" },
      16,
      100,
    );
    expect([...batch.logitRows]).toEqual([0, 1, 2, 3]);
  });

  test("draws tokens of the vocabulary that differ, and the same ones each time", () => {
    const shape = { sequences: 1, pagesEach: 4, cachedTokens: 0, newTokens: 64, logits: "last" } as const;
    const { tokens } = buildStep(shape, 16, 50);
    expect(tokens.every((token) => token >= 0 && token < 50)).toBe(true);
    expect(new Set(tokens).size).toBeGreaterThan(20);
    expect(buildStep(shape, 16, 50).tokens).toEqual(tokens);
  });
});
