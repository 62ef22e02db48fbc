import type { EvictionPolicy } from "../cache/eviction-policy.js";
import type { PagePool } from "../cache/page-pool.js";
import type { NativeKvArena, NativeRunner, SharedFloats } from "../native/native.js";
import type { PrefixCacheStats } from "./prefix-reuse.js";
import type { StepSizeStats } from "./step-sizes.js";

/** What an engine works with. The engine does not close the runner and the arena. */
export interface EngineOptions {
  readonly runner: NativeRunner;
  /** The runner's. */
  readonly arena: NativeKvArena;
  readonly allocateShared: (length: number) => SharedFloats;
  /** One per head group of the arena. */
  readonly pools: readonly PagePool[];
  readonly vocabSize: number;
  /** Width of a hidden state. */
  readonly embeddingLength: number;
  /** Most tokens in one step: the prefill chunk. */
  readonly maxBatchTokens: number;
  /** How many times as long a step may take for prompts' tokens while texts are being generated; see PromptBudget. */
  readonly stepStretch: number;
  readonly policy: EvictionPolicy;
  /**
   * Whether sequences share the pages of texts that begin alike. Without effect when the policy looks at attention: what
   * it drops then depends on the steps.
   */
  readonly prefixCache: boolean;
}

/** Counters since the engine was made. */
export interface EngineStats {
  readonly steps: number;
  readonly computedTokens: number;
  readonly computeMicros: number;
  /** How many sequences shared the steps. */
  readonly stepSizes: StepSizeStats;
  /** Runs that lost their pages to one of a higher rank and were computed again. */
  readonly preemptions: number;
  /** Undefined when the prefix cache is off. */
  readonly prefixCache: PrefixCacheStats | undefined;
}
