import type { ModelStats } from "../runtime/model.js";
import type { SensorReading } from "../tiers/sensors.js";
import { loadedModel, type ServedRuntime } from "./served-runtime.js";

/** KV pages of a class of heads. */
interface LivePages {
  readonly class: ModelStats["pages"][number]["headClass"];
  readonly usable: number;
  /** Pages of texts that are at work. */
  readonly used: number;
  /** Pages that only the prefix cache holds. */
  readonly cached: number;
}

/** A tier as it is now; what only a model knows is absent while none is loaded. */
interface LiveTier {
  readonly name: string;
  readonly kind: "local" | "remote";
  readonly is_loaded: boolean;
  readonly active: number;
  readonly waiting: number;
  readonly answered: number;
  readonly pages?: readonly LivePages[];
  readonly prefix_cache?: {
    readonly lookups: number;
    readonly hits: number;
    readonly hit_tokens: number;
  };
  /** So far, prompts and draft tokens included. */
  readonly computed_tokens?: number;
  readonly steps?: number;
}

/** How the machine fares; null where it does not say. */
interface LiveMachine {
  readonly rss_bytes: number;
  /** Of all memory, 0 to 1. */
  readonly memory: number | null;
  readonly temperature: {
    readonly zone: string;
    readonly celsius: number;
    readonly limit_celsius: number;
  } | null;
  readonly is_throttling: boolean | null;
  readonly watts: number | null;
}

/** What GET /air/live tells. No prompt, answer or client is part of it. */
export interface LiveReport {
  readonly uptime_seconds: number;
  readonly requests: {
    readonly answered: number;
    readonly failed: number;
    readonly escalations: number;
    readonly fallbacks: number;
  };
  /** 0 to 1, as the router sees it. */
  readonly pressure: { readonly memory: number; readonly heat: number; readonly queue: number };
  readonly machine: LiveMachine;
  readonly tiers: readonly LiveTier[];
}

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
