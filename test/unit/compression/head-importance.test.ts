import { describe, expect, test } from "vitest";

import { chooseQueryHeads, headScoreCount } from "../../../lib/compression/head-importance.js";

/** Heads whose loss is known; `together` adds what two heads cost that stand in for each other. */
async function choose(
  costs: readonly number[],
  settings: {
    readonly count: number;
    readonly layers?: number;
    readonly layerCap?: number;
    readonly together?: readonly [number, number];
  },
) {
  const { count, layers = 1, layerCap = costs.length, together } = settings;
  const asked: (readonly number[])[] = [];
  const { masked, scores } = await chooseQueryHeads({
    spec: { layers, queryHeads: costs.length / layers },
    count,
    layerCap,
    contributions: new Float64Array(costs.length),
    score: (heads) => {
      asked.push([...heads]);
      const redundant = together?.every((head) => heads.has(head)) === true ? 10 : 0;
      return Promise.resolve([...heads].reduce((sum, head) => sum + (costs[head] ?? NaN), redundant));
    },
  });
  return { masked: [...masked].sort((a, b) => a - b), scores, asked };
}

describe("chooseQueryHeads", () => {
  test("masks the heads that cost least, in rounds, and keeps the scores of single heads", async () => {
    const { masked, scores, asked } = await choose([5, 1, 4, 0.5, 3, 2, 9, 8], { count: 4 });
    expect(masked).toEqual([1, 3, 4, 5]);
    expect(scores).toEqual([5, 1, 4, 0.5, 3, 2, 9, 8]);
    expect(asked.length).toBe(8 + 7 + 6 + 5);
    expect(asked.length).toBeLessThanOrEqual(headScoreCount(8, 4));
  });

  test("sees in a later round that a head stands in for one that is gone", async () => {
    const { masked } = await choose([1, 1.5, 2, 9], { count: 2, together: [0, 1] });
    expect(masked).toEqual([0, 2]);
  });

  test("takes no more of a layer than its cap", async () => {
    const { masked } = await choose([1, 2, 3, 4, 50, 60, 70, 80], { count: 4, layers: 2, layerCap: 2 });
    expect(masked).toEqual([0, 1, 4, 5]);
  });

  test("stops where the caps allow no more", async () => {
    const { masked } = await choose([1, 2, 3, 4], { count: 4, layers: 2, layerCap: 1 });
    expect(masked).toEqual([0, 2]);
  });

  test("tries only the heads that contribute least, of many", async () => {
    const heads = 400;
    const tried = new Set<number>();
    const { masked, scores } = await chooseQueryHeads({
      spec: { layers: 4, queryHeads: 100 },
      count: 1,
      layerCap: 100,
      contributions: Float64Array.from({ length: heads }, (_, head) => heads - head),
      score: (set) => {
        for (const head of set) tried.add(head);
        return Promise.resolve([...set].reduce((sum, head) => sum + head, 0));
      },
    });
    expect(tried.size).toBe(128);
    expect(Math.min(...tried)).toBe(heads - 128); // the ones before contribute more
    expect([...masked]).toEqual([heads - 128]);
    expect(scores.filter((score) => score !== null).length).toBe(128);
  });

  test("asks for nothing when nothing is to go", async () => {
    expect(await choose([1, 2], { count: 0 })).toEqual({ masked: [], scores: [null, null], asked: [] });
    expect(headScoreCount(64, 0)).toBe(0);
  });
});
