import { describe, expect, test } from "vitest";
import { brainToFloat, floatToBrain, floatToHalf, halfToFloat } from "../../../bench/models/half.js";

describe("floatToHalf", () => {
  test("is the inverse of halfToFloat for every finite float16", () => {
    const finite = Array.from({ length: 0x10000 }, (_, bits) => bits).filter(
      (bits) => (bits & 0x7c00) !== 0x7c00,
    );
    expect(finite.filter((bits) => floatToHalf(halfToFloat(bits)) !== bits)).toEqual([]);
  });

  test.each([
    { name: "a tie goes to the even neighbour below", value: 1 + 2 ** -11, half: 0x3c00 },
    { name: "a tie goes to the even neighbour above", value: 1 + 3 * 2 ** -11, half: 0x3c02 },
    { name: "a mantissa that rounds up carries into the exponent", value: 2 - 2 ** -12, half: 0x4000 },
    { name: "the largest float16 is kept", value: 65504, half: 0x7bff },
    { name: "half a step above the largest is infinite", value: 65520, half: 0x7c00 },
    { name: "half the smallest subnormal ties to zero", value: 2 ** -25, half: 0 },
    { name: "more than half of it is the smallest subnormal", value: 1.5 * 2 ** -25, half: 1 },
    { name: "a subnormal that rounds up becomes normal", value: 2 ** -14 - 2 ** -26, half: 0x0400 },
    { name: "negative infinity", value: -Infinity, half: 0xfc00 },
  ])("$name", ({ value, half }) => {
    expect(floatToHalf(value)).toBe(half);
  });
});

describe("floatToBrain", () => {
  test("rounds to the nearest bfloat16, ties to even", () => {
    expect(brainToFloat(floatToBrain(1 + 2 ** -8))).toBe(1);
    expect(brainToFloat(floatToBrain(1 + 3 * 2 ** -8))).toBe(1 + 2 ** -6);
    expect(brainToFloat(floatToBrain(-3.0e38))).toBeCloseTo(-3.0e38, -36);
  });
});
