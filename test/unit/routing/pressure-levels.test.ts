import { describe, expect, test } from "vitest";

import { defaultLadders, PressureGate } from "../../../lib/routing/pressure-levels.js";

describe("PressureGate", () => {
  test("closes tiers after the wait and opens them one by one", () => {
    const gate = new PressureGate(defaultLadders.memory);
    const at = (second: number, value: number): number => gate.update(value, second * 1000).tiersDown;
    expect([at(0, 0.98), at(1, 0.98), at(2, 0.98), at(3, 0.98), at(4, 0.98)]).toEqual([0, 0, 1, 1, 2]);
    expect([at(5, 0.5), at(19, 0.5), at(20, 0.5), at(34, 0.5), at(35, 0.5)]).toEqual([2, 2, 1, 1, 0]);
  });

  test("keeps the last value and the level while a sensor gives nothing", () => {
    const gate = new PressureGate(defaultLadders.queue);
    expect(gate.held).toEqual({ value: 0, tiersDown: 0 });
    expect(gate.update(0.6, 0)).toEqual({ value: 0.6, tiersDown: 1 });
    expect(gate.update(Number.NaN, 60_000)).toEqual({ value: 0.6, tiersDown: 1 });
    expect(gate.level).toBe(1);
  });

  test("gives the step of its level", () => {
    const gate = new PressureGate({ ...defaultLadders.heat, riseMs: 0 });
    expect(gate.step).toBeUndefined();
    gate.update(0.6, 0);
    expect(gate.step).toMatchObject({ threadsFraction: 0.5, batchFraction: 0.5, tiersDown: 0 });
    expect(gate.update(1, 1)).toEqual({ value: 1, tiersDown: 2 });
    expect(gate.level).toBe(4);
  });
});
