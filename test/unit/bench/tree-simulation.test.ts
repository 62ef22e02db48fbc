import { describe, expect, test } from "vitest";

import {
  chainShapes,
  simulateBeam,
  simulateTree,
  tokensPerMs,
  treeShapes,
} from "../../../bench/speculation/tree-simulation.js";

const chain = (depth: number) => ({ depth, siblingDepths: 0, width: 1 });

describe("simulateTree", () => {
  test("takes the chain's tokens up to the first wrong one, and one of the target's", () => {
    // After the first token: two right, one wrong; then one right, and the last one is the target's.
    const cycles = simulateTree([[0, 0, 0, 1, 0, 0]], chain(4), 6);
    expect(cycles).toEqual({ tokens: 5, accepted: 3, rows: [4 + 1, 1 + 1], draftSteps: [4, 1] });
  });

  test("drafts on past the end of a text that ended by itself, and accepts that end", () => {
    // The second and last token is right; with three more drafted, or with the end drafted as the end.
    const wrongAfter = simulateTree([[0, 0, 1]], chain(4), 64);
    expect(wrongAfter).toEqual({ tokens: 2, accepted: 1, rows: [4 + 1], draftSteps: [4] });
    const rightToTheEnd = simulateTree([[0, 0, 0]], chain(4), 64);
    expect(rightToTheEnd).toEqual({ tokens: 2, accepted: 2, rows: [2 + 1], draftSteps: [4] });
  });

  test("takes a sibling where the second likeliest token is right, and nothing after it", () => {
    const ranks = [[0, 1, 0, 0, 0, 0]];
    const siblings = simulateTree(ranks, { depth: 3, siblingDepths: 1, width: 2 }, 6);
    // sibling and bonus token; then the rest, cut to the one token that the text has room for
    expect(siblings).toEqual({ tokens: 5, accepted: 3, rows: [1 + 3 + 1, 1 + 2 + 1], draftSteps: [3, 2] });
    expect(simulateTree(ranks, chain(3), 6).rows).toHaveLength(2);
  });

  test("has siblings only as deep and as many as the shape says", () => {
    const second = [[0, 0, 1, 0, 0]];
    expect(simulateTree(second, { depth: 2, siblingDepths: 1, width: 2 }, 5).rows).toHaveLength(2);
    expect(simulateTree(second, { depth: 2, siblingDepths: 2, width: 2 }, 5).rows).toHaveLength(2);
    const third = [[0, 2, 0]];
    expect(simulateTree(third, { depth: 1, siblingDepths: 1, width: 2 }, 3).rows).toHaveLength(2);
    expect(simulateTree(third, { depth: 1, siblingDepths: 1, width: 3 }, 3).rows).toHaveLength(1);
  });

  test("covers every token after the first of every text", () => {
    const ranks = [
      [0, 3, 0, 0, 1, 2, 0],
      [5, 5],
    ];
    for (const shape of [...chainShapes(8), ...treeShapes(8)]) {
      expect(simulateTree(ranks, shape, 7).tokens).toBe(7);
    }
  });
});

describe("simulateBeam", () => {
  test("accepts what the beam has right, up to its depth", () => {
    expect(simulateBeam([[0, 3, 0, 0, 0, 0]], 2, 6)).toEqual({
      tokens: 5,
      accepted: 2,
      rows: [5, 3, 1],
      draftSteps: [2, 1, 0],
    });
  });
});

describe("tokensPerMs", () => {
  test("adds up the target's steps by rows, and the draft model's", () => {
    const cycles = { tokens: 6, rows: [4, 1], draftSteps: [3, 0] };
    const costs = { targetMs: (rows: number) => 10 + rows, firstDraftMs: 1, nextDraftMs: 2 };
    expect(tokensPerMs(cycles, costs)).toBeCloseTo(6 / (14 + 1 + 2 * 2 + 11), 9);
  });
});

describe("treeShapes", () => {
  test("lists trees within the rows, none of them a chain", () => {
    expect(treeShapes(4)).toEqual([
      { depth: 1, siblingDepths: 1, width: 2 },
      { depth: 1, siblingDepths: 1, width: 3 },
      { depth: 2, siblingDepths: 1, width: 2 },
    ]);
    expect(chainShapes(4).map(({ depth }) => depth)).toEqual([1, 2, 3]);
  });
});
