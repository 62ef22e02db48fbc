import { describe, expect, test } from "vitest";

import { NgramProposer } from "../../../lib/decoding/ngram-proposer.js";
import { historyOf } from "../../support/toy-language.js";

/** Distinct ids from `start` on. */
const run = (start: number, length: number): number[] => Array.from({ length }, (_, index) => start + index);

/** What is proposed after a text, of which the last `generated` tokens came after begin(). */
function propose(
  text: readonly number[],
  { limit = 4, generated = 0, proposer = new NgramProposer() } = {},
): { readonly tokens: readonly number[]; readonly strength: number; readonly limit: number } | undefined {
  proposer.begin(text.slice(0, text.length - generated));
  const prospect = proposer.look(historyOf(text));
  if (prospect === undefined) return undefined;
  return { ...proposer.propose(historyOf(text), { limit, minConfidence: 0 }), ...prospect };
}

describe("NgramProposer", () => {
  test("guesses what followed the end of the text before", () => {
    expect(propose([1, 2, 3, 4, 5, 9, 1, 2])?.tokens).toEqual([3, 4, 5, 9]);
    expect(propose([1, 2, 3, 4, 5, 9, 1, 2], { limit: 2 })?.tokens).toEqual([3, 4]);
  });

  test("guesses nothing when only one token matches, or none", () => {
    expect(propose([1, 2, 3, 4, 5, 9, 2])).toBeUndefined();
    expect(propose([1, 2, 3])).toBeUndefined();
    expect(propose([1])).toBeUndefined();
    expect(propose([])).toBeUndefined();
  });

  test("takes the longest match, even if shorter ones are later", () => {
    expect(propose([1, 2, 3, 50, 9, 2, 3, 60, 9, 2, 3, 70, 1, 2, 3])?.tokens[0]).toBe(50);
  });

  test("takes the latest of equally long matches", () => {
    expect(propose([2, 3, 50, 8, 2, 3, 60, 9, 2, 3])?.tokens[0]).toBe(60);
  });

  test("sees the tokens that were generated since it began", () => {
    expect(propose([1, 2, 3, 4, 5, 9, 1, 2], { generated: 3 })?.tokens).toEqual([3, 4, 5, 9]);
    expect(propose([7, 1, 2, 3, 9, 1, 2], { generated: 6 })?.tokens).toEqual([3, 9, 1, 2]);
  });

  test("goes on in its own guesses where the text ends, so that a loop goes on", () => {
    expect(propose([1, 2, 3, 9, 1, 2], { limit: 9 })).toMatchObject({ tokens: [3, 9, 1, 2, 3, 9, 1, 2, 3] });
    expect(propose([5, 5, 5], { limit: 4 })).toMatchObject({ tokens: [5, 5, 5, 5] });
  });

  test.each([
    [2, 0],
    [3, 1],
    [4, 1],
    [5, 2],
    [8, 2],
    [9, 3],
    [40, 3],
  ])("puts a match of %i tokens into class %i", (length, strength) => {
    const prospect = propose([90, ...run(100, length), 91, ...run(100, length)]);
    expect(prospect).toMatchObject({ strength });
    expect(prospect?.tokens[0]).toBe(91);
    expect(new NgramProposer().strengths).toBeGreaterThan(strength);
  });

  test("looks into earlier texts of the session", () => {
    const proposer = new NgramProposer();
    proposer.begin(run(10, 20));
    proposer.look(historyOf([...run(10, 20), 77, 78])); // generated, then forgotten by the caller
    expect(propose([1, 2, 12, 13, 14], { proposer })?.tokens).toEqual([15, 16, 17, 18]);
    expect(propose([28, 29], { proposer })?.tokens.slice(0, 2)).toEqual([77, 78]);
  });

  test("goes on with the last text when the next one starts with it", () => {
    const proposer = new NgramProposer();
    proposer.begin([1, 2, 3]);
    proposer.look(historyOf([1, 2, 3, 4, 5]));
    // Were the text remembered twice, its end would be found in the other one, and guesses be made from that.
    expect(propose([1, 2, 3, 4, 5], { proposer })).toBeUndefined();
    expect(propose([1, 2, 3, 4, 5, 6, 4, 5], { proposer })?.tokens).toEqual([6, 4, 5, 6]);
  });

  test("prefers the current text among equal matches", () => {
    const proposer = new NgramProposer();
    proposer.begin([1, 2, 50]);
    expect(propose([1, 2, 60, 9, 1, 2], { proposer })?.tokens[0]).toBe(60);
  });

  test("matches nothing across the border of two texts", () => {
    const proposer = new NgramProposer();
    proposer.begin([1, 2]);
    expect(propose([3, 4, 9, 2, 3], { proposer })).toBeUndefined();
    // The text itself matches from its start only: 7 before it belongs to another one.
    proposer.begin([7, 8, 30, 31]);
    proposer.begin([6, 7]);
    expect(propose([8, 30], { proposer })).toMatchObject({ strength: 0 });
  });

  test("forgets texts from long ago, not the last ones", () => {
    const proposer = new NgramProposer();
    proposer.begin(run(0, 100));
    proposer.begin(run(1000, 65_000));
    proposer.begin(run(100_000, 1000));
    // Now more than 65,536 tokens are remembered: the next text drops the older half.
    expect(propose([10, 11], { proposer })).toBeUndefined();
    expect(propose([100_010, 100_011], { proposer })?.tokens[0]).toBe(100_012);
  });

  test("stays fast on a long text that repeats one pair", () => {
    const proposer = new NgramProposer();
    const text = Array.from({ length: 40_000 }, (_, index) => index % 2);
    const started = performance.now();
    proposer.begin(text.slice(0, 20_000));
    for (let length = 20_000; length <= text.length; length += 1) {
      proposer.look({ length, token: (index) => text[index] ?? -1 });
    }
    // 20,000 looks of at most 32 places and 16 tokens; looking at every place would take 100 times that.
    expect(performance.now() - started).toBeLessThan(2000);
  });
});
