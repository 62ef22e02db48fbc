import { type EvictionPolicy, keepAll } from "../../lib/cache/eviction-policy.js";
import { PagePool } from "../../lib/cache/page-pool.js";
import { Engine } from "../../lib/engine/engine.js";
import type { RunTerms } from "../../lib/engine/run.js";
import type { Sequence } from "../../lib/engine/sequence.js";
import { FakeAddon, fakeSpec } from "./fake-native.js";

export interface FakeEngineOptions {
  /** Usable pages of each head group. Default one group of 64. */
  readonly pages?: readonly number[];
  readonly pageTokens?: number;
  readonly maxBatchTokens?: number;
  /** Default Infinity: steps do not depend on the clock. */
  readonly stepStretch?: number;
  readonly vocabSize?: number;
  readonly policy?: EvictionPolicy;
  /** Default false. */
  readonly prefixCache?: boolean;
}

/** An engine over the fake addon. */
export function createFakeEngine(options: FakeEngineOptions = {}): {
  engine: Engine;
  pools: readonly PagePool[];
  addon: FakeAddon;
} {
  const { pages = [64], pageTokens = 16, maxBatchTokens = 32, vocabSize = 50, policy = keepAll } = options;
  const addon = new FakeAddon();
  const model = addon.createModel(fakeSpec(vocabSize));
  const pageCounts = pages.map((count) => count + 1);
  const arena = addon.createArena(model, {
    headMask: new Uint8Array(1),
    pageTokens,
    pageCounts,
    keyType: "f16",
    valueType: "f16",
  });
  const runner = addon.createRunner(model, arena, { maxTokens: maxBatchTokens });
  const pools = pageCounts.map((count) => new PagePool(count));
  const engine = new Engine({
    runner,
    allocateShared: (length) => addon.allocateShared(length),
    arena,
    pools,
    vocabSize,
    embeddingLength: fakeSpec(vocabSize).embeddingLength,
    maxBatchTokens,
    stepStretch: options.stepStretch ?? Infinity,
    policy,
    prefixCache: options.prefixCache ?? false,
  });
  return { engine, pools, addon };
}

/** `length` ids below 50 that depend on `seed`. */
export function fakePrompt(seed: number, length: number): number[] {
  return Array.from({ length }, (_, index) => (seed * 31 + index * index * 7 + index) % 50);
}

/** Continues a prompt greedily; `onToken` sees every token as it comes. */
export async function continueGreedily(
  engine: Engine,
  sequence: Sequence,
  prompt: readonly number[],
  count: number,
  onToken?: (generated: readonly number[]) => void,
  terms: RunTerms = {},
): Promise<readonly number[]> {
  const generated: number[] = [];
  await engine.run(sequence, {
    ...terms,
    tokens: prompt,
    logitsFrom: prompt.length - 1,
    onLogits: (row) => {
      const token = row.indexOf(row.reduce((a, b) => Math.max(a, b)));
      generated.push(token);
      onToken?.(generated);
      return generated.length < count ? [token] : [];
    },
  });
  return generated;
}

/** What the prompt's continuation is on an engine of its own. */
export async function continueAlone(prompt: readonly number[], count: number): Promise<readonly number[]> {
  const { engine } = createFakeEngine();
  return continueGreedily(engine, engine.createSequence(), prompt, count);
}
