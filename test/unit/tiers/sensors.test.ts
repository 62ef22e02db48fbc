import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { type SensorReading, systemSensors } from "../../../lib/tiers/sensors.js";
import { SystemFolder } from "./system-folder.js";

let machine: SystemFolder;

beforeEach(() => {
  machine = new SystemFolder();
});
afterEach(() => {
  machine.close();
});

function read(): SensorReading {
  return systemSensors({ root: machine.root }).read();
}

describe("systemSensors: heat", () => {
  test("is unknown where no zone says anything", () => {
    expect(read()).toMatchObject({
      heat: undefined,
      hottest: undefined,
      isThrottling: false,
      watts: undefined,
    });
  });

  test("goes from 20 degrees below the passive trip point to it", () => {
    const heatAt = (celsius: number): number | undefined => {
      machine.zone(0, "CPU-therm", celsius, [
        ["critical", 102],
        ["passive", 95],
        ["active", 50],
      ]);
      return read().heat;
    };
    expect([30, 75, 80, 85, 95, 101].map(heatAt)).toEqual([0, 0, 0.25, 0.5, 1, 1]);
  });

  test("takes the lowest passive trip point, and one that a driver does not have for none", () => {
    machine.zone(0, "x86_pkg_temp", 60, [
      ["passive", 0],
      ["passive", -273.2],
      ["passive", 99],
      ["passive", 90],
    ]);
    expect(read().hottest).toEqual({ name: "x86_pkg_temp", celsius: 60, limitCelsius: 90 });
  });

  test("without a passive trip point stays below the hot and the critical one, and below 85 degrees", () => {
    const limit = (trips: readonly (readonly [string, number])[]): number | undefined => {
      machine.remove("sys");
      machine.zone(0, "cpu-thermal", 50, trips);
      return read().hottest?.limitCelsius;
    };
    expect(limit([["hot", 80]])).toBe(75);
    expect(limit([["critical", 100]])).toBe(80);
    expect(limit([["critical", 110]])).toBe(85);
    expect(limit([["critical", 65_535]])).toBe(85);
    expect(limit([])).toBe(85);
  });

  test("is that of the zone nearest to its own limit", () => {
    machine.zone(0, "GPU-therm", 70, [["passive", 99]]);
    machine.zone(1, "tj-therm", 60, [["passive", 70]]);
    expect(read()).toMatchObject({ heat: 0.5, hottest: { name: "tj-therm" } });
  });

  test("leaves out zones of other parts, and readings that cannot be", () => {
    machine.zone(0, "PMIC-Die", 100);
    machine.zone(1, "iwlwifi_1", 84);
    machine.zone(2, "AO-therm", -256);
    machine.zone(3, "CPU-therm", 0);
    machine.zone(4, "soc", 60_000);
    machine.zone(5, "odd", "garbage");
    machine.write("sys/class/thermal/cooling_device0/type", "fan");
    expect(read().heat).toBeUndefined();
    machine.zone(6, "GPU-therm", 75);
    expect(read()).toMatchObject({ heat: 0.5, hottest: { name: "GPU-therm" } });
  });

  test("goes on with the other zones when one vanishes, and without any", () => {
    machine.zone(0, "a", 84);
    machine.zone(1, "b", 75);
    const sensors = systemSensors({ root: machine.root });
    expect(sensors.read().hottest?.name).toBe("a");
    machine.remove("sys/class/thermal/thermal_zone0");
    expect(sensors.read().hottest?.name).toBe("b");
    machine.remove("sys");
    expect(sensors.read()).toMatchObject({ heat: undefined, hottest: undefined, isThrottling: false });
  });
});

describe("systemSensors: throttling", () => {
  test("is a counter that rises between two readings", () => {
    machine.throttled(0, "core", 7);
    machine.throttled(1, "package", 100);
    const sensors = systemSensors({ root: machine.root });
    const isThrottling = (): boolean => sensors.read().isThrottling;
    expect([isThrottling(), isThrottling()]).toEqual([false, false]);
    machine.throttled(1, "package", 101);
    expect([isThrottling(), isThrottling()]).toEqual([true, false]);
    machine.throttled(0, "core", 0); // as after a processor was taken away and came back
    machine.throttled(1, "package", "garbage");
    expect([isThrottling(), isThrottling()]).toEqual([false, false]);
    machine.remove("sys/devices");
    expect(isThrottling()).toBe(false);
    machine.throttled(0, "core", 1);
    expect(isThrottling()).toBe(true);
  });

  test("is a low clock rate on a hot machine, not on one that has nothing to do", () => {
    machine.rates(0, 500, 2000);
    machine.rates(1, 800, 2000);
    machine.zone(0, "CPU-therm", 50, [["passive", 95]]);
    const sensors = systemSensors({ root: machine.root });
    const isThrottlingAt = (celsius: number): boolean => {
      machine.zone(0, "CPU-therm", celsius);
      return sensors.read().isThrottling;
    };
    expect([50, 90, 91].map(isThrottlingAt)).toEqual([false, false, true]);
    machine.rates(1, 1300, 2000); // one processor at speed is enough
    expect(isThrottlingAt(94)).toBe(false);
  });

  test("measures clock rates by what the machine's power mode allows", () => {
    machine.rates(0, 1000, 2200, 1100);
    machine.zone(0, "CPU-therm", 94, [["passive", 95]]);
    const sensors = systemSensors({ root: machine.root });
    expect(sensors.read().isThrottling).toBe(false);
    machine.rates(0, 500, 2200, 500);
    expect(sensors.read().isThrottling).toBe(true);
  });
});

describe("systemSensors: memory and power", () => {
  test("is the share that is taken, less what could be given back", () => {
    machine.memory(8000, 2000);
    expect(read().memory).toBeCloseTo(0.75, 9);
    const spareBytes = (): number => 1000 * 2 ** 20;
    expect(systemSensors({ root: machine.root, spareBytes }).read().memory).toBeCloseTo(0.625, 9);
  });

  test("is the power of the board's input, or of all rails together", () => {
    machine.rail(1, "VDD_CPU", 5, 1);
    machine.rail(2, "VDD_GPU", 5, 2);
    expect(read().watts).toBeCloseTo(15, 9);
    machine.rail(3, "VDD_IN", 5, 4);
    const sensors = systemSensors({ root: machine.root });
    expect(sensors.read().watts).toBeCloseTo(20, 9);
    machine.remove("sys/class/hwmon");
    expect(sensors.read().watts).toBeUndefined();
  });

  test("looks for sysfs elsewhere when told to", () => {
    machine.zone(0, "CPU-therm", 75);
    expect(systemSensors({ sysRoot: join(machine.root, "sys") }).read().heat).toBe(0.5);
  });

  test("reads this machine within a moment", () => {
    const sensors = systemSensors();
    const startMs = performance.now();
    const { memory, heat } = sensors.read();
    expect(performance.now() - startMs).toBeLessThan(1000);
    expect(memory).toBeGreaterThan(0);
    expect(memory).toBeLessThanOrEqual(1);
    if (heat !== undefined) expect(heat).toBeLessThanOrEqual(1);
  });
});
