import { join } from "node:path";

import { listFolder, readNumber, readText } from "../util/system-files.js";

/** A thermal zone of the kernel's, and where it begins to matter. */
export interface ThermalZone {
  /** Its type, such as CPU-therm or x86_pkg_temp. */
  readonly name: string;
  /** Where the machine slows down to keep itself from getting hotter. */
  readonly limitCelsius: number;
  /** Undefined while the sensor gives nothing, or nonsense. */
  readonly celsius: () => number | undefined;
}

/** Of zones that do not say where they throttle: most processors for small machines do between 80 and 100 degrees. */
const commonLimitCelsius = 85;
/** Trip points are this far above the temperatures at which machines without a passive one begin to slow down. */
const belowHotCelsius = 5;
const belowCriticalCelsius = 20;

/**
 * Zones that say nothing of the processor: PMIC-Die of older Jetson boards always reads 100 degrees; batteries, chargers
 * and radios have limits of their own.
 */
const otherZone = /^(pmic|bat|bms|charger|iwlwifi|wifi|int3400)/i;

/** Trip points are 0 or far below freezing where a driver has none; nothing that computes throttles below 50 degrees. */
function isTripPoint(celsius: number | undefined): celsius is number {
  return celsius !== undefined && celsius >= 50 && celsius <= 130;
}

/** Lowest trip points by type; types are those of the kernel's thermal sysfs interface. */
function tripPoints(folder: string): ReadonlyMap<string, number> {
  const lowest = new Map<string, number>();
  for (const file of listFolder(folder)) {
    const point = /^trip_point_(\d+)_type$/.exec(file)?.[1];
    if (point === undefined) continue;
    const type = readText(join(folder, file)) ?? "";
    const celsius = (readNumber(join(folder, `trip_point_${point}_temp`)) ?? Number.NaN) / 1000;
    if (isTripPoint(celsius)) lowest.set(type, Math.min(celsius, lowest.get(type) ?? Infinity));
  }
  return lowest;
}

/** A passive trip point is where the kernel begins to slow the machine down; the others come after. */
function limitOf(folder: string): number {
  const points = tripPoints(folder);
  const passive = points.get("passive");
  if (passive !== undefined) return passive;
  const hot = (points.get("hot") ?? Infinity) - belowHotCelsius;
  const critical = (points.get("critical") ?? Infinity) - belowCriticalCelsius;
  return Math.min(commonLimitCelsius, hot, critical);
}

/**
 * The thermal zones that tell how hot the processor is; on Jetson boards they are what tegrastats shows.
 *
 * @param sysRoot - where sysfs is mounted
 */
export function findThermalZones(sysRoot: string): readonly ThermalZone[] {
  const parent = join(sysRoot, "class/thermal");
  return listFolder(parent).flatMap((entry) => {
    const folder = join(parent, entry);
    const name = readText(join(folder, "type")) ?? "";
    if (!/^thermal_zone\d+$/.test(entry) || otherZone.test(name)) return [];
    const celsius = (): number | undefined => {
      const value = (readNumber(join(folder, "temp")) ?? Number.NaN) / 1000;
      // Disabled zones and sensors without power give 0, -256 or far more than silicon bears.
      return value > 0 && value < 150 ? value : undefined;
    };
    return [{ name, limitCelsius: limitOf(folder), celsius }];
  });
}
