import type { AirConfig } from "../../lib/index.js";

/** The files of the three tiers, and of the draft model of the larger two. */
export interface TierFiles {
  readonly small: string;
  readonly medium: string;
  readonly large: string;
  readonly draft: string;
}

/** A row of the comparison. */
export interface E2eRow {
  readonly name: string;
  readonly config: AirConfig;
}

type LocalTier = AirConfig["tiers"][number];

const contextTokens = 4096;
/** Longer than any text of the workload: answers stay those of full attention. */
const compressed = { kv: "int8", window: 1020, sinks: 4 } as const;

/**
 * What is compared: the largest model alone, each technique beside it, and all of them. Without compression the KV cache
 * is float16 for the whole context.
 */
export function e2eRows({ small, medium, large, draft }: TierFiles, threads: number): readonly E2eRow[] {
  const tier = (name: string, model: string, settings: object): LocalTier => ({
    name,
    model,
    threads,
    contextTokens,
    kv: "f16",
    idleUnloadSeconds: 0,
    preload: true,
    maxConcurrent: 1,
    ...settings,
  });
  const off = { defaults: { speculation: "off" as const } };
  const drafted = { draft };
  const governor = false as const;
  const alone = (settings: object): AirConfig => ({ governor, tiers: [tier("large", large, settings)] });
  const routed = (smallest: object, others: object): AirConfig => ({
    governor,
    tiers: [tier("small", small, smallest), tier("medium", medium, others), tier("large", large, others)],
  });
  return [
    { name: "always large", config: alone(off) },
    { name: "+ routing", config: routed(off, off) },
    { name: "+ speculation", config: alone(drafted) },
    { name: "+ KV compression", config: alone({ ...off, ...compressed }) },
    { name: "routing + speculation", config: routed({}, drafted) },
    { name: "all", config: routed(compressed, { ...drafted, ...compressed }) },
  ];
}
