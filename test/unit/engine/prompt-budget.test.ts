import { describe, expect, test } from "vitest";

import { PromptBudget } from "../../../lib/engine/prompt-budget.js";

/** Steps of a machine on which one takes 40 ms and `tokenMs` for each token. */
function observe(budget: PromptBudget, tokenMs: number, decodeTokens: number, promptTokens: number): void {
  budget.observe({ decodeTokens, promptTokens, ms: 40 + tokenMs * (decodeTokens + promptTokens) });
}

describe("PromptBudget", () => {
  test("leaves prompts all of a step in which nothing is generated", () => {
    expect(new PromptBudget(2).tokens(0)).toBe(Infinity);
  });

  test("measures a step without a prompt first, then tries a few tokens", () => {
    const budget = new PromptBudget(2);
    expect(budget.tokens(1)).toBe(0);
    observe(budget, 1, 1, 0);
    expect(budget.tokens(1)).toBe(8);
  });

  test("takes as many tokens as make a step so many times as long", () => {
    const [double, quarter] = [new PromptBudget(2), new PromptBudget(1.25)];
    for (const budget of [double, quarter]) {
      observe(budget, 1, 2, 0);
      observe(budget, 1, 2, 10);
    }
    expect(double.tokens(2)).toBe(42);
    expect(quarter.tokens(2)).toBe(10);
  });

  test("follows what tokens cost, and does not believe a single slow step", () => {
    const budget = new PromptBudget(2);
    observe(budget, 1, 1, 0);
    observe(budget, 1, 1, 20);
    observe(budget, 50, 1, 20);
    expect(budget.tokens(1)).toBeGreaterThan(25);
    for (let step = 0; step < 40; step += 1) observe(budget, 4, 1, budget.tokens(1));
    expect(budget.tokens(1)).toBe(9); // 41 ms of 4 ms each, and 3 ms more of the token that is generated
    for (let step = 0; step < 40; step += 1) observe(budget, 1, 1, budget.tokens(1));
    expect(budget.tokens(1)).toBeGreaterThan(38);
  });

  test("learns from prompts that have steps to themselves", () => {
    const budget = new PromptBudget(2);
    observe(budget, 1, 0, 400);
    observe(budget, 1, 1, 0);
    expect(budget.tokens(1)).toBe(37); // 41 ms over the 440 ms of 400 tokens
  });

  test("lets prompts get on when their tokens take longer than there is time for", () => {
    const budget = new PromptBudget(1.01);
    observe(budget, 10, 1, 0);
    observe(budget, 10, 1, 10);
    expect(budget.tokens(1)).toBe(8);
  });

  test("goes on when steps with a prompt seem to take no longer", () => {
    const budget = new PromptBudget(2);
    budget.observe({ decodeTokens: 1, promptTokens: 0, ms: 50 });
    budget.observe({ decodeTokens: 1, promptTokens: 8, ms: 40 });
    expect(budget.tokens(1)).toBe(1000);
    for (let step = 0; step < 40; step += 1) budget.observe({ decodeTokens: 1, promptTokens: 50, ms: 100 });
    expect(budget.tokens(1)).toBe(50);
  });

  test("has no limit with an infinite stretch", () => {
    const budget = new PromptBudget(Infinity);
    observe(budget, 1, 1, 0);
    expect(budget.tokens(1)).toBe(Infinity);
  });
});
