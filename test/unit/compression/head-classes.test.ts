import { describe, expect, test } from "vitest";

import {
  bisectionSteps,
  countWithin,
  demote,
  orderDemotions,
} from "../../../lib/compression/head-classes.js";
import { createDice } from "../../support/dice.js";

describe("orderDemotions", () => {
  test("streams before it drops, least divergence first, then by head", () => {
    const ordered = orderDemotions([
      { head: 0, to: "dropped", divergence: 0.01 },
      { head: 3, to: "stream", divergence: 0.5 },
      { head: 2, to: "stream", divergence: 0.1 },
      { head: 1, to: "stream", divergence: 0.1 },
      { head: 2, to: "dropped", divergence: 0.001 },
    ]);
    expect(ordered.map(({ head, to }) => `${head} ${to}`)).toEqual([
      "1 stream",
      "2 stream",
      "3 stream",
      "2 dropped",
      "0 dropped",
    ]);
  });
});

describe("demote", () => {
  const ordered = [
    { head: 4, to: "stream", divergence: 0 },
    { head: 2, to: "stream", divergence: 0 },
    { head: 4, to: "dropped", divergence: 0 },
  ] as const;

  test("makes the first demotions, of which the later one of a head counts", () => {
    expect(demote(ordered, 0)).toEqual({ streamed: new Set(), dropped: new Set() });
    expect(demote(ordered, 2)).toEqual({ streamed: new Set([4, 2]), dropped: new Set() });
    expect(demote(ordered, 3)).toEqual({ streamed: new Set([2]), dropped: new Set([4]) });
  });
});

describe("countWithin", () => {
  /** Costs by count, from 1 on, and the counts that were asked for. */
  async function search(costs: readonly number[], limit: number) {
    const asked: number[] = [];
    const count = await countWithin(costs.length, limit, (n) => {
      asked.push(n);
      return Promise.resolve(costs[n - 1] ?? NaN);
    });
    return { count, asked };
  }

  test("finds the most demotions where costs only grow", async () => {
    for (let demotions = 0; demotions <= 20; demotions += 1) {
      const costs = Array.from({ length: demotions }, (_, index) => index + 1);
      for (let limit = 0; limit <= demotions; limit += 1) {
        const { count, asked } = await search(costs, limit);
        expect(count).toBe(limit);
        expect(asked.length).toBeLessThanOrEqual(bisectionSteps(demotions));
      }
    }
  });

  test("tries everything first, and is done when that fits", async () => {
    expect(await search([5, 5, 5, 1], 2)).toEqual({ count: 4, asked: [4] });
  });

  test("never goes beyond the limit, whatever the costs", async () => {
    const dice = createDice(7);
    for (let round = 0; round < 2000; round += 1) {
      const costs = Array.from({ length: dice(40) }, () => (dice(10) === 0 ? NaN : dice(100)));
      const limit = dice(100);
      const { count, asked } = await search(costs, limit);
      if (count > 0) expect(costs[count - 1]).toBeLessThanOrEqual(limit);
      expect(asked.length).toBeLessThanOrEqual(bisectionSteps(costs.length));
      expect(new Set(asked).size).toBe(asked.length); // each costs a pass over the text
      expect(asked.every((n) => n >= 1 && n <= costs.length)).toBe(true);
    }
  });
});
