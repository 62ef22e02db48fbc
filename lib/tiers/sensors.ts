import { join } from "node:path";

import { takenMemory } from "../runtime/available-memory.js";
import { findPowerRails } from "../util/power-rails.js";
import { findThermalZones, type ThermalZone } from "./thermal-zones.js";
import { findThrottleSigns } from "./throttling.js";

/** The thermal zone that is nearest to its limit. */
export interface HottestZone {
  readonly name: string;
  readonly celsius: number;
  readonly limitCelsius: number;
}

/** How the machine fares at one moment. Undefined: it does not say. */
export interface SensorReading {
  /** Memory that is taken, of what there is, 0 to 1. */
  readonly memory: number | undefined;
  /** 0 where temperature starts to matter, 1 where the machine throttles. */
  readonly heat: number | undefined;
  readonly hottest: HottestZone | undefined;
  readonly isThrottling: boolean;
  /** Power of the board's input, or of all rails that are measured. */
  readonly watts: number | undefined;
}

/** Reads how the machine fares. */
export interface Sensors {
  read(): SensorReading;
}

/** Where sensors are looked for, and what counts. */
export interface SensorOptions {
  /** Of the file system with /proc and /sys, for tests. Default: the real one. */
  readonly root?: string | undefined;
  /** Where sysfs is mounted. Default: root + /sys. */
  readonly sysRoot?: string | undefined;
  /** Memory that is taken and could be given back at once, such as an idle tier's; counts as available. Default: none. */
  readonly spareBytes?: (() => number) | undefined;
}

/** Temperature starts to matter this far below a zone's limit. */
const warmCelsius = 20;
/** A machine this near to its limit whose fastest processor is below this share of its clock rate is throttling. */
const hotShare = 0.8;
const throttledClockShare = 0.6;

/** 0 to 1; what is above the limit is no hotter than at it. */
function heatOf({ celsius, limitCelsius }: HottestZone): number {
  return Math.min(1, Math.max(0, (celsius - limitCelsius + warmCelsius) / warmCelsius));
}

function hottestOf(zones: readonly ThermalZone[]): HottestZone | undefined {
  let hottest: HottestZone | undefined;
  for (const { name, limitCelsius, celsius: read } of zones) {
    const celsius = read();
    if (celsius === undefined) continue;
    const isNearer = hottest === undefined || celsius - limitCelsius > hottest.celsius - hottest.limitCelsius;
    if (isNearer) hottest = { name, celsius, limitCelsius };
  }
  return hottest;
}

/**
 * The sensors of this machine, found once: memory, thermal zones, signs of throttling, and power on boards that measure
 * it. What is not there, or fails later, is undefined in the readings.
 *
 * @example
 * const { memory, heat } = systemSensors().read();
 */
export function systemSensors({ root = "", sysRoot, spareBytes }: SensorOptions = {}): Sensors {
  const sys = sysRoot ?? join(root === "" ? "/" : root, "sys");
  const zones = findThermalZones(sys);
  const rails = findPowerRails(sys);
  const signs = findThrottleSigns(sys);
  return {
    read() {
      const hottest = hottestOf(zones);
      const heat = hottest && heatOf(hottest);
      // A low clock rate alone is a processor with nothing to do.
      const isSlow =
        heat !== undefined && heat >= hotShare && (signs.clockShare() ?? 1) < throttledClockShare;
      const watts = rails.map((rail) => rail()).filter((value) => value !== undefined);
      return {
        memory: takenMemory(root, spareBytes?.()),
        heat,
        hottest,
        isThrottling: signs.wasThrottled() || isSlow,
        watts: watts.length === 0 ? undefined : watts.reduce((sum, value) => sum + value, 0),
      };
    },
  };
}
