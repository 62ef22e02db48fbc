import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { findEnergyMeter } from "../../../lib/benchmark/energy.js";

let sysRoot: string;

beforeEach(() => {
  sysRoot = mkdtempSync(path.join(tmpdir(), "air-energy-"));
});

afterEach(() => {
  vi.useRealTimers();
  rmSync(sysRoot, { recursive: true });
});

function writeSys(file: string, value: number | string): void {
  const target = path.join(sysRoot, file);
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, `${value}\n`);
}

function measure(during: () => void): number | undefined {
  const stop = findEnergyMeter(sysRoot)?.start();
  during();
  return stop?.();
}

describe("findEnergyMeter", () => {
  test("finds none where the machine reports nothing", () => {
    expect(findEnergyMeter(sysRoot)).toBeUndefined();
  });

  test("adds up the RAPL counters of packages, not of their parts", () => {
    for (const domain of ["intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"])
      writeSys(`class/powercap/${domain}/energy_uj`, 1_000_000);
    const joules = measure(() => {
      writeSys("class/powercap/intel-rapl:0/energy_uj", 3_500_000);
      writeSys("class/powercap/intel-rapl:1/energy_uj", 2_000_000);
      writeSys("class/powercap/intel-rapl:0:0/energy_uj", 9_000_000);
    });
    expect(joules).toBeCloseTo(3.5, 9);
  });

  test("goes on counting when a RAPL counter starts over", () => {
    writeSys("class/powercap/intel-rapl:0/max_energy_range_uj", 10_000_000);
    writeSys("class/powercap/intel-rapl:0/energy_uj", 9_000_000);
    const joules = measure(() => {
      writeSys("class/powercap/intel-rapl:0/energy_uj", 500_000);
    });
    expect(joules).toBeCloseTo(1.5, 9);
  });

  test("integrates the input rail of an INA monitor, which includes the other rails", () => {
    vi.useFakeTimers();
    writeSys("class/hwmon/hwmon0/name", "cpu_thermal");
    writeSys("class/hwmon/hwmon1/name", "ina3221");
    const rails = [
      ["VDD_IN", 5000, 2000],
      ["VDD_CPU", 5000, 1000],
    ] as const;
    for (const [index, [label, millivolts, milliamperes]] of rails.entries()) {
      writeSys(`class/hwmon/hwmon1/in${index + 1}_label`, label);
      writeSys(`class/hwmon/hwmon1/in${index + 1}_input`, millivolts);
      writeSys(`class/hwmon/hwmon1/curr${index + 1}_input`, milliamperes);
    }
    const joules = measure(() => {
      vi.advanceTimersByTime(2000);
    });
    expect(joules).toBeCloseTo(20, 6); // 10 W for 2 s
  });
});
