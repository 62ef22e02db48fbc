import { describe, expect, test } from "vitest";

import {
  type HysteresisSettings,
  initialHysteresis,
  nextLevel,
  settledLevel,
} from "../../../lib/routing/hysteresis.js";
import { uniform } from "../../../lib/util/rng.js";

const settings: HysteresisSettings = {
  limits: [
    { up: 0.5, down: 0.3 },
    { up: 0.8, down: 0.6 },
  ],
  riseMs: 2000,
  fallMs: 5000,
};

/** Levels after each of the values, a second apart. */
function levels(values: readonly number[], used: HysteresisSettings = settings): readonly number[] {
  let state = initialHysteresis;
  return values.map((value, index) => {
    state = nextLevel(state, value, index * 1000, used);
    return state.level;
  });
}

function repeat(value: number, times: number): readonly number[] {
  return Array.from({ length: times }, () => value);
}

describe("nextLevel", () => {
  test("rises one level after each wait, and not before", () => {
    expect(levels(repeat(0.9, 6))).toEqual([0, 0, 1, 1, 2, 2]);
    expect(levels(repeat(0.5, 6))).toEqual([0, 0, 1, 1, 1, 1]);
    expect(levels(repeat(0.49, 6))).toEqual(repeat(0, 6));
  });

  test("falls one level after each longer wait", () => {
    const up = repeat(0.9, 5);
    expect(levels([...up, ...repeat(0, 12)]).slice(5)).toEqual([2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 0, 0]);
  });

  test("stays between the limits", () => {
    expect(levels([...repeat(0.9, 5), ...repeat(0.61, 30)]).at(-1)).toBe(2);
    expect(levels([...repeat(0.9, 5), ...repeat(0.6, 30)]).at(-1)).toBe(1);
    expect(levels([...repeat(0.9, 5), ...repeat(0.31, 30)]).at(-1)).toBe(1);
  });

  test("begins the wait anew when the value goes back for a moment", () => {
    expect(levels([0.9, 0.9, 0.4, 0.9, 0.9, 0.9])).toEqual([0, 0, 0, 0, 0, 1]);
    const wavering = [0.1, 0.1, 0.1, 0.1, 0.7];
    expect(levels([...repeat(0.6, 3), ...wavering, ...wavering, ...wavering]).at(-1)).toBe(1);
  });

  test("takes all steps at once without waits", () => {
    expect(levels([1, 0.5, 0, 1], { ...settings, riseMs: 0, fallMs: 0 })).toEqual([2, 1, 0, 2]);
  });

  test("keeps its level while there is no value", () => {
    const values = [...repeat(0.9, 5), ...repeat(Number.NaN, 20), ...repeat(0, 5)];
    expect(levels(values).slice(5)).toEqual(repeat(2, 25));
    expect(levels([0.9, 0.9, Number.NaN, 0.9, 0.9])).toEqual(repeat(0, 5));
  });

  test("begins the wait anew when the clock goes back", () => {
    const first = nextLevel(initialHysteresis, 0.9, 50_000, settings);
    const back = nextLevel(first, 0.9, 10_000, settings);
    expect(nextLevel(back, 0.9, 11_999, settings).level).toBe(0);
    expect(nextLevel(back, 0.9, 12_000, settings).level).toBe(1);
  });

  test("ends for limits that are the wrong way round", () => {
    const wrong = { limits: [{ up: 0.2, down: 0.8 }], riseMs: 0, fallMs: 0 };
    expect(levels([0.5, 0.5], wrong)).toEqual([1, 0]);
  });

  test("changes at most once in the shorter wait, whatever the value does", () => {
    const values = Array.from({ length: 5000 }, (_, index) => uniform(1, index, "sample"));
    const random = levels(values);
    const changes = random.flatMap((level, index) =>
      index > 0 && level !== random[index - 1] ? [index] : [],
    );
    expect(changes.length).toBeGreaterThan(20);
    for (const [index, second] of changes.entries())
      if (index > 0) expect(second - (changes[index - 1] ?? 0)).toBeGreaterThanOrEqual(2);
  });

  test("is never lower for a course of values that is never lower", () => {
    let strictlyHigher = 0;
    for (let seed = 0; seed < 300; seed += 1) {
      let value = 0.5;
      const low: number[] = [];
      const high: number[] = [];
      for (let second = 0; second < 200; second += 1) {
        value = Math.min(1, Math.max(0, value + (uniform(seed, second, "sample") - 0.5) * 0.4));
        low.push(value);
        high.push(value + uniform(seed, second, "accept") ** 4 * 0.5);
      }
      const below = levels(low);
      levels(high).forEach((level, second) => {
        expect(level, `case ${seed}, second ${second}`).toBeGreaterThanOrEqual(below[second] ?? 0);
        if (level > (below[second] ?? 0)) strictlyHigher += 1;
      });
    }
    expect(strictlyHigher).toBeGreaterThan(1000);
  });
});

describe("settledLevel", () => {
  test("is the highest level whose limit the value reaches", () => {
    expect([0, 0.49, 0.5, 0.79, 0.8, 1].map((value) => settledLevel(value, settings.limits))).toEqual([
      0, 0, 1, 1, 2, 2,
    ]);
    expect(settledLevel(Number.NaN, settings.limits)).toBe(0);
    expect(settledLevel(1, [])).toBe(0);
  });
});
