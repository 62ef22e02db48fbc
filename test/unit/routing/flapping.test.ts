import { describe, expect, test } from "vitest";

import {
  defaultLadders,
  type HeldPressures,
  PressureGate,
  settledPressures,
} from "../../../lib/routing/pressure-levels.js";
import { uniform } from "../../../lib/util/rng.js";
import { calm, decide } from "./policy-cases.js";

/** How often the tier of a hard request changes in 600 requests, one a second. */
function changes(pressureAt: (second: number) => HeldPressures): number {
  let before: number | undefined;
  let count = 0;
  for (let second = 0; second < 600; second += 1) {
    const { tier } = decide(0.9, { pressure: pressureAt(second) });
    if (before !== undefined && tier !== before) count += 1;
    before = tier;
  }
  return count;
}

describe("chooseTier behind hysteresis", () => {
  /** Memory that wavers around the limit of the first level. */
  const memoryAt = (second: number): number => 0.92 + 0.06 * (uniform(11, second, "sample") - 0.5);

  test("does not flap with a value that wavers around a limit, as it would without", () => {
    expect(
      changes((second) => settledPressures({ memory: memoryAt(second), heat: 0, queue: 0 })),
    ).toBeGreaterThan(200);
    const gate = new PressureGate(defaultLadders.memory);
    expect(
      changes((second) => ({ ...calm, memory: gate.update(memoryAt(second), second * 1000) })),
    ).toBeLessThanOrEqual(1);
  });

  test("follows a value that goes for good, there and back", () => {
    const gate = new PressureGate(defaultLadders.memory);
    const memoryOf = (second: number): number => (second > 200 && second < 400 ? 0.95 : 0.5);
    expect(changes((second) => ({ ...calm, memory: gate.update(memoryOf(second), second * 1000) }))).toBe(2);
  });
});
