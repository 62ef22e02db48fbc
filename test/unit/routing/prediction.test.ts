import { describe, expect, test } from "vitest";

import { predict, TokenRate } from "../../../lib/routing/prediction.js";
import { cold, medium } from "./policy-cases.js";

describe("predict", () => {
  test("adds up waiting, loading, prefill and decode", () => {
    const tier = { ...cold(medium, 7), queueSeconds: 2 };
    expect(predict(tier, { promptTokens: 500, expectedTokens: 50 })).toEqual({
      queueSeconds: 2,
      loadSeconds: 7,
      workSeconds: 1,
      totalSeconds: 10,
    });
    expect(predict({ ...tier, isReady: true }, { promptTokens: 500, expectedTokens: 50 })).toMatchObject({
      loadSeconds: 0,
      totalSeconds: 3,
    });
  });

  test("promises nothing without a rate, unless there is nothing to do with it", () => {
    const unknown = { ...medium, decodeTokensPerSecond: 0 };
    expect(predict(unknown, { promptTokens: 500, expectedTokens: 1 }).totalSeconds).toBe(Infinity);
    expect(predict(unknown, { promptTokens: 500, expectedTokens: 0 }).totalSeconds).toBe(0.5);
    const broken = { ...medium, prefillTokensPerSecond: Number.NaN };
    expect(predict(broken, { promptTokens: 500, expectedTokens: 1 }).totalSeconds).toBe(Infinity);
  });
});

describe("TokenRate", () => {
  test("begins with the estimate and comes to what is measured", () => {
    const rate = new TokenRate(100, 1000);
    expect(rate.tokensPerSecond).toBeCloseTo(100, 9);
    rate.add(200, 10); // 20 tokens per second
    expect(rate.tokensPerSecond).toBeLessThan(40);
    for (let answer = 0; answer < 20; answer += 1) rate.add(200, 10);
    expect(rate.tokensPerSecond).toBeCloseTo(20, 0);
  });

  test("forgets by tokens: after a slow-down of half the memory it has gone more than a third of the way", () => {
    const rate = new TokenRate(50, 1000);
    for (let answer = 0; answer < 50; answer += 1) rate.add(100, 2);
    for (let answer = 0; answer < 5; answer += 1) rate.add(100, 10); // 10 tokens per second
    expect(rate.tokensPerSecond).toBeLessThan(50 - 40 / 3);
    expect(rate.tokensPerSecond).toBeGreaterThan(10);
  });

  test("leaves out what cannot have been measured", () => {
    const rate = new TokenRate(100, 1000);
    for (const [tokens, seconds] of [
      [0, 1],
      [10, 0],
      [10, -1],
      [Number.NaN, 1],
      [10, Number.NaN],
      [Infinity, 1],
    ] as const)
      rate.add(tokens, seconds);
    expect(rate.tokensPerSecond).toBeCloseTo(100, 9);
  });
});
