import { describe, expect, test } from "vitest";

import { llama3FrequencyFactor, ropeAngles } from "../../../lib/model/rope-scaling.js";

function expectClose(actual: Float64Array, expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 12);
}

describe("ropeAngles", () => {
  test("without scaling gives base^(-2j / dimensions)", () => {
    const angles = ropeAngles({ dimensions: 4, base: 10_000, scaling: { kind: "none" } });
    expectClose(angles.inverseFrequencies, [1, 0.01]);
    expect(angles.attentionFactor).toBe(1);
  });

  test("with linear scaling divides every angle", () => {
    const angles = ropeAngles({ dimensions: 4, base: 10_000, scaling: { kind: "linear", factor: 4 } });
    expectClose(angles.inverseFrequencies, [0.25, 0.0025]);
    expect(angles.attentionFactor).toBe(1);
  });

  test("divides by the file's factors before scaling", () => {
    const scaling = { kind: "linear", factor: 2 } as const;
    const angles = ropeAngles({ dimensions: 4, base: 10_000, scaling, frequencyFactors: [1, 5] });
    expectClose(angles.inverseFrequencies, [0.5, 0.001]);
  });

  test("keeps the file's attention factor", () => {
    const scaling = { kind: "none" } as const;
    expect(ropeAngles({ dimensions: 2, base: 100, scaling, attentionFactor: 1.5 }).attentionFactor).toBe(1.5);
  });
});

describe("llama3 scaling", () => {
  const scaling = {
    kind: "llama3",
    factor: 8,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalContext: 8192,
  } as const;
  /** The angle that turns this often within the original context. */
  const turning = (turns: number): number => (turns * 2 * Math.PI) / 8192;

  test.each([
    ["keeps angles that turn more than 4 times", 4.01, 1],
    ["divides angles that turn less than once by the factor", 0.99, 8],
    // Halfway: 1 / (0.5 / 8 + 0.5)
    ["blends between", 2.5, 1 / 0.5625],
    ["blends from the factor at one turn", 1, 8],
    ["blends to 1 at four turns", 4, 1],
  ])("%s", (_, turns, factor) => {
    expect(llama3FrequencyFactor(turning(turns), scaling)).toBeCloseTo(factor, 12);
  });

  test("applies the factor to the angles", () => {
    // 1 turns 1304 times in 8192 tokens; 500000^-0.75 = 5.3e-5 turns 0.07 times.
    const angles = ropeAngles({ dimensions: 8, base: 500_000, scaling });
    expect(angles.inverseFrequencies[0]).toBe(1);
    expect(angles.inverseFrequencies[3]).toBeCloseTo(500_000 ** -0.75 / 8, 15);
    expect(angles.attentionFactor).toBe(1);
  });
});

describe("yarn scaling", () => {
  // Pair that turns 32 times in 2048 tokens: 8 ln(2048 / (32 * 2 pi)) / (2 ln 10000) = 1.008, down to 1.
  // Pair that turns once: 8 ln(2048 / (2 pi)) / (2 ln 10000) = 2.513, up to 3.
  const scaling = {
    kind: "yarn",
    factor: 4,
    originalContext: 2048,
    extrapolation: 1,
    betaFast: 32,
    betaSlow: 1,
  } as const;

  test("keeps fast pairs, interpolates slow ones and blends between", () => {
    const angles = ropeAngles({ dimensions: 8, base: 10_000, scaling });
    // Pair 2 is halfway: 0.5 * 0.01 / 4 + 0.5 * 0.01.
    expectClose(angles.inverseFrequencies, [1, 0.1, 0.00625, 0.00025]);
  });

  test("scales attention by 0.1 ln(factor) + 1, times the file's factor", () => {
    const angles = ropeAngles({ dimensions: 8, base: 10_000, scaling, attentionFactor: 2 });
    expect(angles.attentionFactor).toBeCloseTo(2 * 1.138_629_436_111_989, 12);
  });

  test("without extrapolation is plain interpolation", () => {
    const angles = ropeAngles({ dimensions: 8, base: 10_000, scaling: { ...scaling, extrapolation: 0 } });
    expectClose(angles.inverseFrequencies, [0.25, 0.025, 0.0025, 0.00025]);
    expect(angles.attentionFactor).toBe(1);
  });
});
