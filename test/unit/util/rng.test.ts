import { describe, expect, test } from "vitest";

import { philox4x32, type Words2, type Words4, uniform } from "../../../lib/util/rng.js";

/** Known answers of the Random123 distribution (kat_vectors, philox4x32 with 10 rounds): counter, key, output. */
const knownAnswers: readonly (readonly [Words4, Words2, Words4])[] = [
  [
    [0, 0, 0, 0],
    [0, 0],
    [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  ],
  [
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    [0xffffffff, 0xffffffff],
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
];

describe("philox4x32", () => {
  test.each(knownAnswers)("maps counter %j under key %j to %j", (counter, key, output) => {
    expect(philox4x32(counter, key)).toEqual(output);
  });
});

describe("uniform", () => {
  test("differs by seed (all 53 bits of it), position and purpose, and repeats otherwise", () => {
    const draws = [
      uniform(1, 0, "sample"),
      uniform(2, 0, "sample"),
      uniform(1 + 2 ** 40, 0, "sample"),
      uniform(1, 1, "sample"),
      uniform(1, 0, "accept"),
    ];
    expect(new Set(draws).size).toBe(draws.length);
    expect(uniform(1, 0, "sample")).toBe(draws[0]);
  });

  test("fills ten equal bins of [0, 1) evenly (chi-square below the 0.001 point for 9 degrees, 27.88)", () => {
    const bins = new Float64Array(10);
    const count = 20_000;
    for (let position = 0; position < count; position += 1) {
      const value = uniform(7, position, "sample");
      expect(value >= 0 && value < 1).toBe(true);
      const bin = Math.floor(value * 10);
      bins[bin] = (bins[bin] ?? 0) + 1;
    }
    const expected = count / 10;
    const chiSquare = bins.reduce((sum, observed) => sum + (observed - expected) ** 2 / expected, 0);
    expect(chiSquare).toBeLessThan(27.88);
  });
});
