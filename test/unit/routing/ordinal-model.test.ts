import { describe, expect, test } from "vitest";

import { minimize } from "../../../lib/routing/lbfgs.js";
import { type DesignMatrix, fitOrdinal, logitsOf, sigmoid } from "../../../lib/routing/ordinal-model.js";

describe("minimize", () => {
  test("finds the valley of Rosenbrock's function", () => {
    const found = minimize(
      (point, gradient) => {
        const [x = 0, y = 0] = point;
        gradient[0] = -2 * (1 - x) - 400 * x * (y - x * x);
        gradient[1] = 200 * (y - x * x);
        return (1 - x) ** 2 + 100 * (y - x * x) ** 2;
      },
      Float64Array.of(-1.2, 1),
      { iterations: 500, tolerance: 1e-14 },
    );
    expect(found[0]).toBeCloseTo(1, 4);
    expect(found[1]).toBeCloseTo(1, 4);
  });
});

/** One column whose value is 0, 1, 2, ... by row. */
function ramp(rows: number): DesignMatrix {
  return {
    starts: Int32Array.from({ length: rows + 1 }, (_, row) => row),
    columns: new Int32Array(rows),
    values: Float32Array.from({ length: rows }, (_, row) => row / 10),
    columnCount: 1,
  };
}

const tiers = Uint8Array.from([0, 0, 0, 1, 0, 1, 1, 2, 1, 2, 2, 2]);
const weights = new Float64Array(tiers.length).fill(1);

describe("fitOrdinal", () => {
  test("orders examples by what tells their tiers apart", () => {
    const model = fitOrdinal(ramp(12), tiers, weights, { shared: 1e-4, apart: 1e-4 });
    const low = (row: number) => logitsOf(model, ramp(12), row)[0];
    const high = (row: number) => logitsOf(model, ramp(12), row)[1];
    expect(sigmoid(low(0))).toBeLessThan(0.2);
    expect(sigmoid(low(11))).toBeGreaterThan(0.9);
    expect(sigmoid(high(5))).toBeLessThan(0.5);
    expect(low(5)).toBeGreaterThan(high(5));
  });

  test("meets the optimum: with no penalty, mean predictions are mean outcomes", () => {
    const model = fitOrdinal(
      ramp(12),
      tiers,
      weights,
      { shared: 1e-9, apart: 1e-9 },
      { iterations: 500, tolerance: 1e-13 },
    );
    const mean = [0, 1].map((boundary) =>
      Array.from(tiers, (_, row) => sigmoid(logitsOf(model, ramp(12), row)[boundary] ?? 0)).reduce(
        (a, b) => a + b,
      ),
    );
    expect(mean[0]).toBeCloseTo(8, 2);
    expect(mean[1]).toBeCloseTo(4, 2);
  });

  test("gives both boundaries the same weights where a penalty keeps them together", () => {
    const together = fitOrdinal(ramp(12), tiers, weights, { shared: 1e-3, apart: 1e6 });
    expect(together.weights[0][0]).toBeCloseTo(together.weights[1][0] ?? 0, 4);
    expect(together.biases[0]).toBeGreaterThan(together.biases[1] ?? 0);
  });

  test("shrinks weights with the penalty", () => {
    const weightAt = (shared: number) =>
      fitOrdinal(ramp(12), tiers, weights, { shared, apart: shared }).weights[0][0] ?? 0;
    expect(weightAt(1)).toBeLessThan(weightAt(0.01));
    expect(weightAt(100)).toBeLessThan(0.05);
  });
});
