import { describe, expect, test } from "vitest";

import { complexityOf, fitPlatt, thresholdsForMix, tierOf } from "../../../lib/routing/calibration.js";
import { calibrationError, evaluateRouter, type JudgedPrompt } from "../../../lib/routing/evaluation.js";
import { sigmoid } from "../../../lib/routing/ordinal-model.js";
import { chooseThresholds } from "../../../lib/routing/thresholds.js";
import { uniform } from "../../../lib/util/rng.js";

const numbers = Array.from({ length: 4000 }, (_, i) => uniform(3, i, "sample"));

describe("fitPlatt", () => {
  test("finds the scale under which outcomes were drawn", () => {
    const logits = numbers.map((_, i) => (uniform(4, i, "sample") - 0.5) * 8);
    const outcomes = logits.map((logit, i) => (numbers[i] ?? 0) < sigmoid(0.5 * logit - 1));
    const { slope, offset } = fitPlatt(logits, outcomes);
    // Standard errors are about 0.02 and 0.05 with 4000 draws.
    expect(Math.abs(slope - 0.5)).toBeLessThan(0.1);
    expect(Math.abs(offset + 1)).toBeLessThan(0.2);
  });

  test("keeps the order of logits that say the opposite", () => {
    const { slope } = fitPlatt([-1, -2, 1, 2], [true, true, false, false]);
    expect(slope).toBeGreaterThan(0);
  });
});

describe("complexityOf", () => {
  test("gives probabilities that add up to 1, and a score between 0 and 1 that rises with each logit", () => {
    for (let i = 0; i < 1000; i += 2) {
      const low = (numbers[i] ?? 0) * 12 - 6;
      const high = (numbers[i + 1] ?? 0) * 12 - 6;
      const { score, confidence, probabilities } = complexityOf(low, high);
      expect(probabilities.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
      expect(Math.min(...probabilities)).toBeGreaterThanOrEqual(0);
      expect(confidence).toBe(Math.max(...probabilities));
      expect(complexityOf(low + 0.1, high).score).toBeGreaterThan(score);
      expect(complexityOf(low, high + 0.1).score).toBeGreaterThan(score);
    }
  });
});

describe("thresholdsForMix", () => {
  test("cuts scores into the shares that were asked for, and others of the same kind nearly so", () => {
    const thresholds = thresholdsForMix(numbers.slice(0, 2000), [60, 30, 10]);
    const sharesOf = (scores: readonly number[]) =>
      [0, 1, 2].map(
        (tier) => scores.filter((score) => tierOf(score, thresholds) === tier).length / scores.length,
      );
    expect(sharesOf(numbers.slice(0, 2000))).toEqual([0.6, 0.3, 0.1]);
    for (const [tier, share] of sharesOf(numbers.slice(2000)).entries()) {
      expect(Math.abs(share - ([0.6, 0.3, 0.1][tier] ?? 0))).toBeLessThan(0.03);
    }
  });

  test("leaves tiers of share 0 empty", () => {
    const scores = [0.1, 0.5, 0.9];
    expect(scores.map((score) => tierOf(score, thresholdsForMix(scores, [1, 1, 0])))).not.toContain(2);
    expect(scores.map((score) => tierOf(score, thresholdsForMix(scores, [0, 1, 1])))).not.toContain(0);
  });

  test("refuses no scores and shares that are none", () => {
    expect(() => thresholdsForMix([], [1, 1])).toThrow("expected at least one score");
    expect(() => thresholdsForMix([0.5], [0, 0, 0])).toThrow("expected at least two shares such as 60/30/10");
    expect(() => thresholdsForMix([0.5], [2, -1])).toThrow('for mix but received "2/-1"');
  });
});

describe("chooseThresholds", () => {
  // Neighbouring tiers overlap by a sixth of each other's scores.
  const scored = numbers.map((number, i) => ({ tier: i % 3, score: ((i % 3) + number * 1.2) / 3.2 }));

  test("keeps within the share that may get too small a tier", () => {
    const [first, second] = chooseThresholds(scored, 0.02);
    const under =
      scored.filter(({ tier, score }) => tierOf(score, [first, second]) < tier).length / scored.length;
    expect(under).toBeLessThanOrEqual(0.021);
    expect(first).toBeLessThan(second);
  });

  test("goes for accuracy where the share allows", () => {
    const accuracyAt = (share: number) => {
      const thresholds = chooseThresholds(scored, share);
      return scored.filter(({ tier, score }) => tierOf(score, thresholds) === tier).length / scored.length;
    };
    expect(accuracyAt(0.3)).toBeGreaterThan(accuracyAt(0.001));
  });
});

function judged(tier: number, score: number, confidence = 0.9): JudgedPrompt {
  const rest = (1 - confidence) / 2;
  return {
    tier,
    complexity: { score, confidence, probabilities: [0, 1, 2].map((t) => (t === tier ? confidence : rest)) },
  };
}

describe("evaluateRouter", () => {
  test("counts who went where and what it cost", () => {
    const result = evaluateRouter(
      [judged(0, 0.1), judged(0, 0.5), judged(1, 0.5), judged(2, 0.9), judged(2, 0.1)],
      [0.3, 0.7],
      [1, 4, 16],
    );
    expect(result).toMatchObject({
      prompts: 5,
      accuracy: 0.6,
      confusion: [
        [1, 1, 0],
        [0, 1, 0],
        [1, 0, 1],
      ],
      recalls: [0.5, 1, 0.5],
      underRouted: 0.2,
      overRouted: 0.2,
    });
    // 1, 4, 4 and 16, and 1 + 16 for the hard one that was tried on the smallest tier first.
    expect(result.cost.expected).toBeCloseTo(42 / 5, 12);
    expect(result.cost).toMatchObject({ largest: 16, ideal: (1 + 1 + 4 + 16 + 16) / 5 });
  });

  test("has no recall for a tier without prompts", () => {
    expect(evaluateRouter([judged(0, 0)], [0.3, 0.7]).recalls).toEqual([1, null, null]);
  });

  test("measures how far sureness is from being right", () => {
    expect(calibrationError([judged(0, 0, 0.9), judged(1, 0, 0.9)])).toBeCloseTo(0.1, 12);
    const wrong: JudgedPrompt = {
      tier: 2,
      complexity: { score: 0, confidence: 0.8, probabilities: [0.8, 0.1, 0.1] },
    };
    expect(calibrationError([wrong])).toBeCloseTo(0.8, 12);
  });
});
