import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import {
  defaultGovernorSettings,
  fractionOf,
  Governor,
  type GovernorOptions,
  type GovernorState,
} from "../../../lib/tiers/governor.js";
import { type SensorReading, systemSensors } from "../../../lib/tiers/sensors.js";
import { uniform } from "../../../lib/util/rng.js";
import { SystemFolder } from "./system-folder.js";

const cool: SensorReading = {
  memory: 0.3,
  heat: 0,
  hottest: undefined,
  isThrottling: false,
  watts: undefined,
};

/** A governor over readings that the test gives, by a clock that goes on a second with each. */
function simulated(options: Partial<GovernorOptions> = {}): {
  readonly governor: Governor;
  /** The levels after so many seconds of a reading; undefined: the sensors throw. */
  readonly run: (seconds: number, reading: Partial<SensorReading> | undefined) => readonly number[];
} {
  let nowMs = 0;
  let current: Partial<SensorReading> | undefined = {};
  const sensors = {
    read: (): SensorReading => {
      if (current === undefined) throw new Error("no such device");
      return { ...cool, ...current };
    },
  };
  const governor = new Governor({ sensors, clock: { nowMs: () => nowMs }, ...options });
  return {
    governor,
    run(seconds, reading) {
      current = reading;
      return Array.from({ length: seconds }, () => {
        nowMs += 1000;
        governor.sample();
        return governor.state().level;
      });
    },
  };
}

describe("Governor", () => {
  test("takes nothing away from a cool machine", () => {
    const { governor, run } = simulated();
    expect(governor.state().reading).toBeUndefined();
    run(100, { heat: 0.39 });
    expect(governor.state()).toMatchObject({
      level: 0,
      threadsFraction: 1,
      batchFraction: 1,
      tiersDown: 0,
      heat: { value: 0.39, tiersDown: 0 },
      memory: { value: 0.3, tiersDown: 0 },
    });
  });

  test("takes threads first, then batches, then tiers, one step at a time, and gives them back in turn", () => {
    const states: GovernorState[] = [];
    const { governor, run } = simulated({ onChange: (state) => states.push(state) });
    expect(run(12, { heat: 1 })).toEqual([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4]);
    expect(states.map(({ threadsFraction }) => threadsFraction)).toEqual([0.75, 0.5, 0.5, 0.25]);
    expect(states.map(({ batchFraction }) => batchFraction)).toEqual([1, 0.5, 0.5, 0.25]);
    expect(states.map(({ tiersDown }) => tiersDown)).toEqual([0, 0, 1, 2]);
    run(14, { heat: 0 });
    expect(governor.state().level).toBe(4);
    expect(run(48, { heat: 0 }).filter((level, index, all) => level !== all[index - 1])).toEqual([
      4, 3, 2, 1, 0,
    ]);
    expect(states.at(-1)).toMatchObject({ level: 0, threadsFraction: 1, batchFraction: 1 });
  });

  test("tells of each change once, with the state before", () => {
    const changes: string[] = [];
    const { run } = simulated({
      onChange: (state, before) => changes.push(`${before.level} to ${state.level}`),
    });
    run(30, { heat: 0.7 });
    run(60, { heat: 0.5 });
    expect(changes).toEqual(["0 to 1", "1 to 2"]);
    run(60, { heat: 0.4 });
    expect(changes).toEqual(["0 to 1", "1 to 2", "2 to 1"]);
  });

  test("takes throttling for the greatest heat when it lasts, not a single burst", () => {
    const { governor, run } = simulated();
    run(1, { isThrottling: true });
    run(1, { isThrottling: false });
    run(2, { isThrottling: true });
    expect(governor.state().level).toBe(0);
    run(20, { isThrottling: true });
    expect(governor.state()).toMatchObject({ level: 4, heat: { value: 1 } });
  });

  test("takes power above 80 % of what the board may draw for heat", () => {
    const { governor, run } = simulated({ settings: { ...defaultGovernorSettings, maxWatts: 10 } });
    run(20, { watts: 8 });
    expect(governor.state().level).toBe(0);
    run(20, { watts: 9 });
    expect(governor.state()).toMatchObject({ level: 1, heat: { value: 0.5 } });
    run(20, { watts: 12, heat: undefined });
    expect(governor.state()).toMatchObject({ level: 4, heat: { value: 1 } });
  });

  test("hands pressure of all kinds to the policy", () => {
    const { governor, run } = simulated();
    run(10, { heat: 0.85, memory: 0.93 });
    expect(governor.pressures(0.9)).toEqual({
      memory: { value: 0.93, tiersDown: 1 },
      heat: { value: 0.85, tiersDown: 1 },
      queue: { value: 0.9, tiersDown: 2 },
    });
    expect(governor.pressures(0.1).queue).toEqual({ value: 0.1, tiersDown: 2 });
    run(5, { heat: 0.85 });
    expect(governor.pressures(0.1).queue).toEqual({ value: 0.1, tiersDown: 1 });
  });

  test("keeps its level for a while when the sensors fall silent, then gives all back", () => {
    const { governor, run } = simulated();
    run(20, { heat: 1, memory: 0.99 });
    expect(run(10, undefined)).toEqual(Array.from({ length: 10 }, () => 4));
    expect(governor.state().reading).toBeUndefined();
    run(80, undefined);
    expect(governor.state()).toMatchObject({ level: 0, memory: { tiersDown: 0 } });
  });

  test("does not take a moment's silence for cooling", () => {
    const { run } = simulated();
    run(20, { heat: 1 });
    for (let round = 0; round < 20; round += 1) {
      run(5, { heat: undefined });
      expect(run(1, { heat: 1 })).toEqual([4]);
    }
  });

  test("never throws, and stays within its levels, whatever the sensors say", () => {
    const nonsense = [Number.NaN, Infinity, -Infinity, -5, 1e9, undefined, 0.5, 1, 0];
    const { governor, run } = simulated({ settings: { ...defaultGovernorSettings, maxWatts: 10 } });
    const pick = (position: number): number | undefined =>
      nonsense[Math.floor(uniform(3, position, "sample") * nonsense.length)];
    for (let second = 0; second < 3000; second += 1) {
      const position = 4 * second;
      const isBroken = uniform(3, position, "accept") < 0.1;
      run(
        1,
        isBroken
          ? undefined
          : { heat: pick(position), memory: pick(position + 1), watts: pick(position + 2) },
      );
      const { level, threadsFraction, batchFraction, tiersDown, heat, memory } = governor.state();
      expect(Number.isInteger(level) && level >= 0 && level <= 4).toBe(true);
      expect(Math.min(threadsFraction, batchFraction)).toBeGreaterThan(0);
      expect(tiersDown).toBeLessThanOrEqual(2);
      for (const { value } of [heat, memory]) expect(value >= 0 && value <= 1).toBe(true);
    }
  });
});

describe("Governor and its timer", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("samples at once and every second until it is stopped, by one timer", () => {
    const read = vi.fn(() => cool);
    const governor = new Governor({ sensors: { read } });
    governor.start();
    governor.start();
    expect(read).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(5000);
    expect(read).toHaveBeenCalledTimes(6);
    governor.stop();
    governor.stop();
    vi.advanceTimersByTime(5000);
    expect(read).toHaveBeenCalledTimes(6);
    governor.start();
    vi.advanceTimersByTime(1000);
    expect(read).toHaveBeenCalledTimes(8);
    governor.stop();
  });

  test("does not keep the process alive", () => {
    vi.useRealTimers();
    const setIntervalSpy = vi.spyOn(globalThis, "setInterval");
    const governor = new Governor({ sensors: { read: () => cool } });
    governor.start();
    const timer = setIntervalSpy.mock.results[0]?.value as NodeJS.Timeout;
    expect(timer.hasRef()).toBe(false);
    governor.stop();
    setIntervalSpy.mockRestore();
  });
});

describe("Governor over a machine that heats up", () => {
  /**
   * A small board: heat flows off in proportion to how much warmer it is than the room. Power falls with the share of
   * threads and with closed tiers; at full power it would settle at 110 degrees, 15 above its passive trip point.
   */
  function simulate(
    seconds: number,
    isGoverned: boolean,
  ): { readonly peak: number; readonly changes: readonly number[] } {
    const machine = new SystemFolder();
    let nowMs = 0;
    let celsius = 40;
    let peak = 0;
    const changes: number[] = [];
    machine.zone(0, "CPU-therm", celsius, [["passive", 95]]);
    const governor = new Governor({
      sensors: systemSensors({ root: machine.root }),
      clock: { nowMs: () => nowMs },
      onChange: () => changes.push(nowMs / 1000),
    });
    for (let second = 0; second < seconds; second += 1) {
      nowMs += 1000;
      const { threadsFraction, tiersDown } = governor.state();
      const power = isGoverned ? (0.3 + 0.7 * threadsFraction) * 0.9 ** tiersDown : 1;
      const settlesAt = 25 + 85 * power;
      celsius += (settlesAt - celsius) / 60 + (uniform(5, second, "sample") - 0.5);
      peak = Math.max(peak, celsius);
      if (!isGoverned) continue;
      machine.write("sys/class/thermal/thermal_zone0/temp", Math.round(celsius * 1000));
      governor.sample();
    }
    machine.close();
    return { peak, changes };
  }

  test("keeps it from throttling, and does not flap", () => {
    expect(simulate(600, false).peak).toBeGreaterThan(105);
    const { peak, changes } = simulate(600, true);
    expect(peak).toBeLessThan(95);
    expect(changes.length).toBeGreaterThan(0);
    // At most one change in 20 seconds, in spite of a degree of noise.
    expect(changes.length).toBeLessThan(600 / 20);
  });
});

describe("fractionOf", () => {
  test("rounds, and leaves at least one", () => {
    expect([fractionOf(8, 0.75), fractionOf(4, 0.25), fractionOf(2, 0.25), fractionOf(1, 0.25)]).toEqual([
      6, 1, 1, 1,
    ]);
    expect(fractionOf(6, 1)).toBe(6);
  });
});
