import { describe, expect, test } from "vitest";

import { AcceptancePriors, AcceptanceRates, expectedTokens } from "../../../lib/decoding/acceptance-rates.js";

describe("AcceptanceRates", () => {
  test("expects the prior before anything was tried", () => {
    expect(new AcceptanceRates(0.7).rates(3)).toEqual([0.7, 0.7, 0.7]);
    expect(new AcceptanceRates(0.7).weight).toBe(0);
  });

  test("expects of a place that was never tried what the place before tells", () => {
    const rates = new AcceptanceRates(0.5);
    for (let index = 0; index < 100; index += 1) rates.observe(1, 1);
    const [first = 0, second = 0] = rates.rates(2);
    expect(first).toBeGreaterThan(0.95);
    expect(second).toBeCloseTo(first, 6);
  });

  test("tells places apart, and counts only tokens that were decided", () => {
    const rates = new AcceptanceRates(0.5);
    for (let index = 0; index < 200; index += 1) rates.observe(4, 1); // the second is rejected, the rest unknown
    const [first = 0, second = 0, third = 0] = rates.rates(3);
    expect(first).toBeGreaterThan(0.95);
    expect(second).toBeLessThan(0.1);
    expect(third).toBeCloseTo(second, 6);
  });

  test("approaches a rate, of which the last few dozen outcomes tell", () => {
    const rates = new AcceptanceRates(0.5);
    for (let index = 0; index < 400; index += 1) rates.observe(1, index % 4 === 0 ? 0 : 1);
    expect(rates.rates(1)[0]).toBeCloseTo(0.75, 1);
    expect(rates.weight).toBeCloseTo(25, 0);
    for (let index = 0; index < 60; index += 1) rates.observe(1, 0);
    expect(rates.rates(1)[0]).toBeLessThan(0.15);
  });
});

describe("AcceptancePriors", () => {
  test("tell proposers and classes of guesses apart", () => {
    const priors = new AcceptancePriors();
    const untried = priors.rate("ngram", 0);
    expect(priors.rate("draft-model", 0)).toBeGreaterThan(untried);
    for (let index = 0; index < 100; index += 1) {
      priors.observe("ngram", 1, 3, 3);
      priors.observe("draft-model", 0, 3, 0);
    }
    expect(priors.rate("ngram", 0)).toBe(untried);
    expect(priors.rate("ngram", 1)).toBeGreaterThan(0.95);
    expect(priors.rate("draft-model", 0)).toBeLessThan(0.1);
  });
});

describe("expectedTokens", () => {
  test("adds up the chances that each draft token is reached and accepted", () => {
    expect(expectedTokens([])).toEqual([1]);
    expect(expectedTokens([0.5, 0.5, 0])).toEqual([1, 1.5, 1.75, 1.75]);
    // (1 - a^(k + 1)) / (1 - a) for equal rates: arXiv 2211.17192, equation 1
    expect(expectedTokens([0.8, 0.8, 0.8, 0.8])[4]).toBeCloseTo((1 - 0.8 ** 5) / (1 - 0.8), 10);
  });
});
