import { describe, expect, test } from "vitest";

import { PromptBudget } from "../../../lib/engine/prompt-budget.js";
import { createDice } from "../../support/dice.js";

/** Steps of a machine on which one takes 40 ms and `tokenMs` for each token. */
function observe(budget: PromptBudget, tokenMs: number, decodeTokens: number, promptTokens: number): void {
  budget.observe({ decodeTokens, promptTokens, ms: 40 + tokenMs * (decodeTokens + promptTokens) });
}

/** Steps with as much of a prompt as the budget has, until it has settled; the largest share of the last twenty. */
function settle(budget: PromptBudget, tokenMs: number, decodeTokens: number): number {
  const shares: number[] = [];
  for (let step = 0; step < 600; step += 1) {
    const share = budget.tokens(decodeTokens);
    observe(budget, tokenMs, decodeTokens, share);
    shares.push(share);
  }
  return Math.max(...shares.slice(-20));
}

describe("PromptBudget", () => {
  test("leaves prompts all of a step in which nothing is generated", () => {
    expect(new PromptBudget(2).tokens(0)).toBe(Infinity);
  });

  test("measures a step without a prompt first, then tries a few tokens, and doubles them at most", () => {
    const budget = new PromptBudget(2);
    const shares: number[] = [];
    for (let step = 0; step < 6; step += 1) {
      shares.push(budget.tokens(1));
      observe(budget, 1, 1, budget.tokens(1));
    }
    expect(shares).toEqual([0, 4, 8, 16, 32, 41]);
  });

  test("takes as many tokens as make a step so many times as long", () => {
    expect(settle(new PromptBudget(2), 1, 2)).toBe(42);
    expect(settle(new PromptBudget(1.25), 1, 2)).toBe(10);
    expect(settle(new PromptBudget(3), 1, 8)).toBe(96);
  });

  test("follows what tokens cost", () => {
    const budget = new PromptBudget(2);
    expect(settle(budget, 1, 1)).toBe(41);
    expect(settle(budget, 4, 1)).toBeCloseTo(11, -0.5); // 44 ms of 4 ms each
    expect(settle(budget, 1, 1)).toBeGreaterThan(38);
  });

  test("measures a step without a prompt again after sixteen with one", () => {
    const budget = new PromptBudget(2);
    const quiet: number[] = [];
    for (let step = 0; step < 60; step += 1) {
      const share = budget.tokens(1);
      if (share === 0) quiet.push(step);
      observe(budget, 1, 1, share);
    }
    expect(quiet).toEqual([0, 17, 34, 51]);
  });

  test("does not take many tokens for one step that seemed fast, nor few for long after a slow one", () => {
    const budget = new PromptBudget(2);
    expect(settle(budget, 1, 1)).toBe(41);
    budget.observe({ decodeTokens: 1, promptTokens: 41, ms: 30 });
    expect(budget.tokens(1)).toBeLessThan(46);
    settle(budget, 1, 1);
    budget.observe({ decodeTokens: 1, promptTokens: 41, ms: 2000 });
    expect(budget.tokens(1)).toBeGreaterThan(27);
  });

  test("takes fewer tokens while steps run late, so that one in a hundred does, and more when they no longer do", () => {
    const budget = new PromptBudget(2);
    const dice = createDice(5);
    let late = 0;
    const run = (steps: number, lateEvery: number): number => {
      late = 0;
      let tokens = 0;
      for (let step = 0; step < steps; step += 1) {
        const share = budget.tokens(1);
        // Neighbours on the machine: the more a step computes, the longer they hold it up.
        const factor = share > 0 && dice(lateEvery) === 0 ? 1.5 : 1;
        const ms = 40 + share * factor + (factor - 1) * 40;
        budget.observe({ decodeTokens: 1, promptTokens: share, ms });
        if (share > 0 && ms > 2 * 40) late += 1;
        tokens += share;
      }
      return tokens / steps;
    };
    const calm = run(500, 1e9);
    const crowded = run(4000, 10);
    expect(late / 4000).toBeLessThan(0.02);
    expect(crowded).toBeLessThan(calm * 0.8);
    expect(crowded).toBeGreaterThan(4);
    run(2000, 1e9);
    expect(run(500, 1e9)).toBeCloseTo(calm, -0.5);
  });

  test("recovers when the first share seemed to cost nothing", () => {
    const budget = new PromptBudget(2);
    observe(budget, 1, 1, 0);
    budget.observe({ decodeTokens: 1, promptTokens: 8, ms: 40 });
    expect(budget.tokens(1)).toBe(16);
    expect(settle(budget, 1, 1)).toBeLessThanOrEqual(42);
  });

  test("lets prompts get on when their tokens take longer than there is time for", () => {
    expect(settle(new PromptBudget(1.01), 10, 1)).toBe(2);
  });

  test("has no limit with an infinite stretch", () => {
    const budget = new PromptBudget(Infinity);
    observe(budget, 1, 1, 0);
    expect(budget.tokens(1)).toBe(Infinity);
  });
});
