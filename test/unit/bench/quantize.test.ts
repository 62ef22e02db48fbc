import { describe, expect, test } from "vitest";
import { dequantize } from "../../../bench/models/dequantize.js";
import { tensorTypes } from "../../../bench/models/gguf-format.js";
import { Noise } from "../../../bench/models/noise.js";
import { quantize, scaleBlocks } from "../../../bench/models/quantize.js";
import type { TensorType } from "../../../lib/native/native.js";

const types = Object.keys(tensorTypes) as TensorType[];

/**
 * Bounds on the largest error of 512 normally distributed weights, in standard deviations (their extreme is about 3).
 * n-bit codes span about 2 * 3 deviations, so half a step is 3 / 2^n; scales in float16 or six bits add to it, and a
 * code range without a positive end (-2^(n-1) is used, 2^(n-1) is not) costs up to a whole step there.
 */
const errorBounds: Readonly<Record<TensorType, number>> = {
  F32: 0,
  F16: 0.002,
  BF16: 0.016,
  Q8_0: 0.016,
  Q6_K: 0.13,
  Q5_0: 0.25,
  Q5_1: 0.13,
  Q5_K: 0.2,
  Q4_0: 0.5,
  Q4_1: 0.25,
  Q4_K: 0.35,
};

describe("quantize", () => {
  const deviation = 0.02;
  const values = new Noise().values(512).slice();

  test.each(types)("%s decodes to nearly the values that it encoded", (type) => {
    const decoded = dequantize(type, quantize(type, values));
    const worst = decoded.reduce((most, value, i) => Math.max(most, Math.abs(value - (values[i] ?? 0))), 0);
    expect(worst / deviation).toBeLessThanOrEqual(errorBounds[type]);
  });

  test.each(types)("%s keeps zeros exact in a block of zeros", (type) => {
    const decoded = dequantize(type, quantize(type, new Float32Array(512)));
    expect(decoded.every((value) => value === 0)).toBe(true);
  });

  test.each(["F16", "Q8_0", "Q4_0", "Q5_0", "Q6_K"] as const)("%s keeps single zeros exact", (type) => {
    const sparse = values.map((value, i) => (i % 3 === 0 ? 0 : value));
    const decoded = dequantize(type, quantize(type, sparse));
    expect(decoded.every((value, i) => i % 3 !== 0 || value === 0)).toBe(true);
  });

  test.each(["Q4_K", "Q5_K"] as const)("%s keeps a group of 32 zeros exact beside other groups", (type) => {
    const sparse = values.map((value, i) => (i % 64 < 32 ? 0 : value));
    const decoded = dequantize(type, quantize(type, sparse));
    expect(decoded.every((value, i) => i % 64 >= 32 || value === 0)).toBe(true);
  });

  test.each(types)("%s survives a constant block", (type) => {
    const decoded = dequantize(type, quantize(type, new Float32Array(256).fill(-0.75)));
    for (const value of decoded) expect(value).toBeCloseTo(-0.75, 2);
  });

  test("refuses a row that ends inside a block", () => {
    expect(() => quantize("Q4_0", new Float32Array(33))).toThrow(
      expect.objectContaining({ code: "AIR_ERR_SHAPE" }),
    );
  });
});

describe("scaleBlocks", () => {
  test.each(types)("doubles the values of %s exactly", (type) => {
    const blocks = quantize(type, new Noise().values(512));
    const before = dequantize(type, blocks);
    scaleBlocks(type, blocks, 2);
    expect([...dequantize(type, blocks)]).toEqual([...before].map((value) => 2 * value));
  });
});
