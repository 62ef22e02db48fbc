import { describe, expect, test } from "vitest";

import { predictSpeedup, stepMs } from "../../../bench/speculation/costs.js";

const times = { rowMs: [10, 11, 13], draftMs: 0.5 };

describe("stepMs", () => {
  test("gives measured steps, and those between by interpolation", () => {
    expect([1, 1.5, 2, 2.75, 3].map((rows) => stepMs(times, rows))).toEqual([10, 10.5, 11, 12.5, 13]);
  });

  test("refuses more rows than were measured", () => {
    expect(() => stepMs(times, 3.5)).toThrow(expect.objectContaining({ code: "AIR_ERR_INTERNAL" }));
  });
});

describe("predictSpeedup", () => {
  test("divides expected tokens by K c + v(K + 1)", () => {
    const cycle = { draftTokens: 2, verifiedTokens: 2, expectedTokens: 2.8 };
    expect(predictSpeedup(times, cycle)).toBeCloseTo(2.8 / (2 * 0.05 + 1.3), 9);
  });

  test("pays for every draft token, but verifies only those that the text has room for", () => {
    const cycle = { draftTokens: 2, verifiedTokens: 1, expectedTokens: 1.9 };
    expect(predictSpeedup(times, cycle)).toBeCloseTo(1.9 / (2 * 0.05 + 1.1), 9);
  });

  test("has free drafts without a draft model", () => {
    const cycle = { draftTokens: 1, verifiedTokens: 1, expectedTokens: 2 };
    expect(predictSpeedup({ ...times, draftMs: undefined }, cycle)).toBeCloseTo(2 / 1.1, 9);
  });
});
