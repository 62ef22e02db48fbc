import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Reads the energy that the machine used since start(), in joules. */
export interface EnergyMeter {
  /** Begins a measurement; the returned function ends it and gives the joules since. */
  start(): () => number;
}

/** Power is sampled this often; slower than its sensors settle, faster than the load changes. */
const samplePeriodMs = 50;

function entries(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return undefined;
  }
}

function readNumber(file: string): number | undefined {
  const text = readText(file);
  return text === undefined || text === "" || Number.isNaN(Number(text)) ? undefined : Number(text);
}

/**
 * RAPL counters of whole packages, in microjoules; parts of a package (`intel-rapl:0:0`) are not counted again.
 * Counters start over at max_energy_range_uj.
 */
function raplMeter(sysRoot: string): EnergyMeter | undefined {
  const folder = join(sysRoot, "class/powercap");
  const packages = entries(folder)
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

/** A board's sensor of its whole input, as Jetson boards name it (tegrastats shows the same). */
const inputRail = /^(VDD_IN|POM_5V_IN|SYS5V|VIN)/;

/** Functions that read watts, one per rail of the INA power monitors that hwmon shows; the input's alone if known. */
function inaRails(sysRoot: string): readonly (() => number | undefined)[] {
  const rails: { readonly label: string; readonly watts: () => number | undefined }[] = [];
  const folder = join(sysRoot, "class/hwmon");
  for (const device of entries(folder).map((name) => join(folder, name))) {
    if (!/^ina\d/.test(readText(join(device, "name")) ?? "")) continue;
    for (const file of entries(device)) {
      const current = /^curr(\d+)_input$/.exec(file)?.[1];
      if (current === undefined) continue;
      const label = readText(join(device, `in${current}_label`)) ?? "";
      const watts = (): number | undefined => {
        const milliamperes = readNumber(join(device, file));
        const millivolts = readNumber(join(device, `in${current}_input`));
        if (milliamperes === undefined || millivolts === undefined) return undefined;
        return (milliamperes * millivolts) / 1e6;
      };
      if (watts() !== undefined) rails.push({ label, watts });
    }
  }
  const input = rails.filter(({ label }) => inputRail.test(label));
  return (input.length > 0 ? input : rails).map(({ watts }) => watts);
}

/** Integrates sampled power over time. */
function inaMeter(sysRoot: string): EnergyMeter | undefined {
  const rails = inaRails(sysRoot);
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
