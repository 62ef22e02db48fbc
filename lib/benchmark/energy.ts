import { join } from "node:path";

import { findPowerRails } from "../util/power-rails.js";
import { listFolder, readNumber } from "../util/system-files.js";

/** Reads the energy that the machine used since start(), in joules. */
export interface EnergyMeter {
  /** Begins a measurement; the returned function ends it and gives the joules since. */
  start(): () => number;
}

/** Power is sampled this often; slower than its sensors settle, faster than the load changes. */
const samplePeriodMs = 50;

/**
 * RAPL counters of whole packages, in microjoules; parts of a package (`intel-rapl:0:0`) are not counted again.
 * Counters start over at max_energy_range_uj.
 */
function raplMeter(sysRoot: string): EnergyMeter | undefined {
  const folder = join(sysRoot, "class/powercap");
  const packages = listFolder(folder)
    .filter((name) => /^[a-z]+-rapl:\d+$/.test(name))
    .map((name) => join(folder, name));
  const read = (): readonly (number | undefined)[] =>
    packages.map((path) => readNumber(join(path, "energy_uj")));
  if (!read().some((value) => value !== undefined)) return undefined;
  return {
    start: () => {
      const before = read();
      return () =>
        read().reduce<number>((joules, after, index) => {
          const first = before[index];
          if (after === undefined || first === undefined) return joules;
          const range = readNumber(join(packages[index] ?? "", "max_energy_range_uj")) ?? 0;
          return joules + (after >= first ? after - first : after + range - first) / 1e6;
        }, 0);
    },
  };
}

/** Integrates sampled power over time. */
function inaMeter(sysRoot: string): EnergyMeter | undefined {
  const rails = findPowerRails(sysRoot);
  if (rails.length === 0) return undefined;
  const readWatts = (): number => rails.reduce((watts, rail) => watts + (rail() ?? 0), 0);
  return {
    start: () => {
      let joules = 0;
      let lastMs = performance.now();
      const sample = (): void => {
        const now = performance.now();
        joules += (readWatts() * (now - lastMs)) / 1000;
        lastMs = now;
      };
      const timer = setInterval(sample, samplePeriodMs);
      return () => {
        clearInterval(timer);
        sample();
        return joules;
      };
    },
  };
}

/**
 * The best energy meter of this machine, or undefined: RAPL counters, else INA sensors.
 *
 * @param sysRoot - where sysfs is mounted; another folder in tests
 */
export function findEnergyMeter(sysRoot = "/sys"): EnergyMeter | undefined {
  return raplMeter(sysRoot) ?? inaMeter(sysRoot);
}
