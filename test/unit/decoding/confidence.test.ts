import { describe, expect, test } from "vitest";

import { ConfidenceScale } from "../../../lib/decoding/confidence.js";

/** A scale that saw single guesses of one probability, of which a share was accepted. */
function scaleOf(confidence: number, acceptedOfTen: number, drafts = 100): ConfidenceScale {
  const scale = new ConfidenceScale();
  for (let draft = 0; draft < drafts; draft += 1)
    scale.observe([confidence], draft % 10 < acceptedOfTen ? 1 : 0);
  return scale;
}

describe("ConfidenceScale", () => {
  test("asks for no confidence before it has seen a few outcomes", () => {
    expect(new ConfidenceScale().confidenceAt(0.5)).toBe(0);
    expect(scaleOf(0.5, 5, 7).confidenceAt(0.5)).toBe(0);
    expect(scaleOf(0.5, 5, 10).confidenceAt(0.5)).toBeGreaterThan(0);
  });

  test("takes probabilities at their word where acceptance bears them out", () => {
    expect(scaleOf(0.5, 5).confidenceAt(0.3)).toBeCloseTo(0.3, 1);
  });

  test("asks an unsure model for less when its guesses come true all the same", () => {
    // 0.25 is accepted 8 times in 10: the exponent is log 0.8 / log 0.25 = 0.16.
    expect(scaleOf(0.25, 8).confidenceAt(0.8)).toBeCloseTo(0.25, 1);
    expect(scaleOf(0.25, 8).confidenceAt(0.5)).toBeLessThan(0.05);
  });

  test("asks an overconfident model for more", () => {
    expect(scaleOf(0.9, 3).confidenceAt(0.5)).toBeGreaterThan(0.7);
    expect(scaleOf(1, 0).confidenceAt(0.5)).toBeLessThanOrEqual(1);
  });

  test("counts the tokens that were decided: the accepted ones and the one after them", () => {
    const [all, decided] = [new ConfidenceScale(), new ConfidenceScale()];
    for (let draft = 0; draft < 20; draft += 1) {
      all.observe([0.8, 0.5, 0.001, 0.001], 1);
      decided.observe([0.8, 0.5], 1);
    }
    expect(all.confidenceAt(0.4)).toBe(decided.confidenceAt(0.4));
  });
});
