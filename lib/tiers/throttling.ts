import { join } from "node:path";

import { listFolder, readNumber } from "../util/system-files.js";

/** Signs that processors are slowed down. */
export interface ThrottleSigns {
  /** Whether a processor was throttled since the last call, by the counters that Intel's have. The first is false. */
  wasThrottled(): boolean;
  /** The clock rate of the fastest processor, of what it can do; undefined where it is not known. */
  clockShare(): number | undefined;
}

interface Processor {
  readonly counters: readonly string[];
  readonly currentRate: string;
  readonly bestRate: number | undefined;
}

/** What a processor can do in the power mode that the machine is in, which may be less than what it is built for. */
function bestRateOf(folder: string): number | undefined {
  const built = readNumber(join(folder, "cpuinfo_max_freq"));
  const allowed = readNumber(join(folder, "scaling_max_freq"));
  return built !== undefined && allowed !== undefined ? Math.min(built, allowed) : built;
}

function findProcessors(sysRoot: string): readonly Processor[] {
  const parent = join(sysRoot, "devices/system/cpu");
  return listFolder(parent)
    .filter((name) => /^cpu\d+$/.test(name))
    .map((name) => {
      const throttle = join(parent, name, "thermal_throttle");
      return {
        counters: listFolder(throttle)
          .filter((file) => file.endsWith("_throttle_count"))
          .map((file) => join(throttle, file)),
        currentRate: join(parent, name, "cpufreq/scaling_cur_freq"),
        bestRate: bestRateOf(join(parent, name, "cpufreq")),
      };
    });
}

/**
 * Finds what this machine has of such signs.
 *
 * @param sysRoot - where sysfs is mounted
 */
export function findThrottleSigns(sysRoot: string): ThrottleSigns {
  const processors = findProcessors(sysRoot);
  const counters = processors.flatMap((processor) => processor.counters);
  const before = new Map<string, number>();
  return {
    wasThrottled() {
      let rose = false;
      // Each by itself: processors come and go, and a sum would fall or jump with them.
      for (const file of counters) {
        const count = readNumber(file);
        if (count === undefined) continue;
        const last = before.get(file);
        rose ||= last !== undefined && count > last;
        before.set(file, count);
      }
      return rose;
    },
    clockShare() {
      const shares = processors.flatMap(({ currentRate, bestRate }) => {
        const rate = readNumber(currentRate);
        return rate === undefined || bestRate === undefined || bestRate <= 0 ? [] : [rate / bestRate];
      });
      return shares.length === 0 ? undefined : Math.max(...shares);
    },
  };
}
