import { describe, expect, test } from "vitest";

import { percentile, percentiles } from "../../../lib/benchmark/statistics.js";

describe("percentile", () => {
  test("takes the smallest value that the share of values does not exceed", () => {
    const values = [30, 10, 20, 40];
    expect(percentile(values, 0.5)).toBe(20);
    expect(percentile(values, 0.51)).toBe(30);
    expect(percentile(values, 0.99)).toBe(40);
    expect(percentile(values, 0)).toBe(10);
  });

  test("has nothing to say about no values", () => {
    expect(percentile([], 0.5)).toBeNaN();
  });

  test("gives p50, p90 and p99 in one order of values", () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(percentiles(values)).toEqual({ p50: 50, p90: 90, p99: 99 });
  });
});
