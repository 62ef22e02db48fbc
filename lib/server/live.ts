import type { ModelStats } from "../runtime/model.js";
import type { SensorReading } from "../tiers/sensors.js";
import type { LiveMachine, LivePages, LiveReport, LiveTier } from "./live-report.js";
import { loadedModel, type ServedRuntime } from "./served-runtime.js";

function pagesOf({ pages }: Pick<ModelStats, "pages">): readonly LivePages[] {
  return pages.map(({ headClass, usable, free, cached }) => ({
    class: headClass,
    usable,
    used: usable - free,
    cached,
  }));
}

function machineOf(reading: SensorReading | undefined): LiveMachine {
  const { memory, hottest, isThrottling, watts } = reading ?? {};
  return {
    rss_bytes: process.memoryUsage.rss(),
    memory: memory ?? null,
    temperature:
      hottest === undefined
        ? null
        : { zone: hottest.name, celsius: hottest.celsius, limit_celsius: hottest.limitCelsius },
    is_throttling: isThrottling ?? null,
    watts: watts ?? null,
  };
}

/** How runtime and machine fare now. */
export function liveReport(runtime: ServedRuntime): LiveReport {
  const { stats, localTierNames, tierNames } = runtime;
  const { answered, failed, escalations, fallbacks, pressure } = stats;
  const tiers = tierNames.map((name): LiveTier => {
    const tier = stats.tiers[name];
    const model = loadedModel(runtime, name)?.stats;
    const { lookups, hits, hitTokens } = model?.prefixCache ?? {};
    return {
      name,
      kind: localTierNames.includes(name) ? "local" : "remote",
      is_loaded: tier?.isLoaded === true,
      active: tier?.active ?? 0,
      waiting: tier?.waiting ?? 0,
      answered: tier?.answered ?? 0,
      ...(model !== undefined && {
        pages: pagesOf(model),
        computed_tokens: model.computedTokens,
        steps: model.steps,
      }),
      ...(lookups !== undefined &&
        hits !== undefined &&
        hitTokens !== undefined && { prefix_cache: { lookups, hits, hit_tokens: hitTokens } }),
    };
  });
  return {
    uptime_seconds: process.uptime(),
    requests: { answered, failed, escalations, fallbacks },
    pressure: { memory: pressure.memory.value, heat: pressure.heat.value, queue: pressure.queue.value },
    machine: machineOf(stats.machine),
    tiers,
  };
}
