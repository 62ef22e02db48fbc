import { describe, expect, test } from "vitest";

import { loadAddon } from "../../lib/native/load.js";
import { rngPurposes, uniform } from "../../lib/util/rng.js";
import { FakeRowOps } from "../support/fake-row-ops.js";

const addon = loadAddon();
/** What the unit tests, the statistics of acceptance among them, run on. */
const plain = new FakeRowOps();

/** Seeded logits, some of them masked and some equal. */
function logits(seed: number, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, id) => {
    const value = uniform(seed, id, "sample");
    return value < 0.1 ? -Infinity : Math.round(value * 400) / 20;
  });
}

describe("the addon's row maths", () => {
  test("draws what plain JavaScript draws, for every seed, position and purpose", () => {
    const weights = logits(1, 333);
    plain.softmaxRows(weights, 333, 0.9);
    const ids = Int32Array.from({ length: 50 }, (_, index) => (index * 37) % 333);
    const some = Float32Array.from(ids, (id) => weights[id] ?? 0);
    for (const seed of [0, 7, 2 ** 32 + 5, 2 ** 53 - 1]) {
      for (let position = 0; position < 500; position += 1) {
        const purpose = rngPurposes[position % 2 === 0 ? "sample" : "residual"];
        expect(addon.sampleRow(weights, undefined, seed, position, purpose)).toBe(
          plain.sampleRow(weights, undefined, seed, position, purpose),
        );
        expect(addon.sampleRow(some, ids, seed, position, purpose)).toBe(
          plain.sampleRow(some, ids, seed, position, purpose),
        );
      }
    }
  });

  test("gives the plain distributions, residuals and orders", () => {
    const [row, other] = [logits(2, 257), logits(3, 257)];
    const topOf = (maths: Pick<FakeRowOps, "topKRow">): readonly number[] => {
      const ids = new Int32Array(40);
      maths.topKRow(row, 40, ids, new Float32Array(40));
      return [...ids];
    };
    expect(topOf(addon)).toEqual(topOf(plain));
    const best = new Int32Array(1);
    addon.argmaxRows(row, 257, best);
    expect(best[0]).toBe(topOf(plain)[0]);
    expect(addon.logSumExpRow(row)).toBeCloseTo(plain.logSumExpRow(row), 5);
    const unmasked = other.map((value) => Math.max(value, 1));
    expect(addon.divergenceRow(row, unmasked)).toBeCloseTo(plain.divergenceRow(row, unmasked), 5);
    expect(addon.divergenceRow(row, other)).toBe(Infinity); // a token that `other` rules out happens
    const distributions = [addon, plain].map((maths) => {
      const [target, draft, out] = [row.slice(), other.slice(), new Float32Array(257)];
      maths.softmaxRows(target, 257, 0.7);
      maths.softmaxRows(draft, 257, 0.7);
      maths.residualRow(target, draft, out);
      return { target, out };
    });
    const [native, expected] = distributions;
    for (const field of ["target", "out"] as const) {
      native?.[field].forEach((value, id) => {
        expect(Math.abs(value - (expected?.[field][id] ?? NaN))).toBeLessThan(1e-6);
      });
    }
  });
});
