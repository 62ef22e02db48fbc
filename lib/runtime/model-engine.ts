import type { EvictionPolicy } from "../cache/eviction-policy.js";
import { PagePool } from "../cache/page-pool.js";
import { Engine, type EngineStats } from "../engine/engine.js";
import type { NativeAddon, NativeKvArena, NativeModel, NativeRunner } from "../native/native.js";
import { at } from "../util/array-access.js";
import { closedError } from "./model-core.js";
import type { ModelMemory } from "./model-memory.js";

/** What an engine runs on; it closes the handles. */
export interface EngineParts {
  readonly addon: NativeAddon;
  readonly native: NativeModel;
  readonly arena: NativeKvArena;
  readonly runner: NativeRunner;
  readonly info: { readonly vocabSize: number };
  readonly spec: { readonly embeddingLength: number };
  readonly maxBatchTokens: number;
  /** See LoadModelOptions. Default Infinity. */
  readonly stepStretch?: number;
  readonly policy: EvictionPolicy;
  /** Whether sessions share the pages of texts that begin alike. */
  readonly prefixCache?: boolean;
}

/** KV pages of the heads of a class. */
export interface PageCounts {
  /** Heads that keep all of a text, or sinks and a window. */
  readonly headClass: "full" | "stream";
  readonly usable: number;
  readonly free: number;
  /** Of the free ones, those that the prefix cache keeps until they are needed. */
  readonly cached: number;
}

/** The classes in the order of an arena's head groups. */
const headClasses = ["full", "stream"] as const;

/** Counters of an engine, and its KV pages now. */
export interface ModelEngineStats extends EngineStats {
  /** Over all classes. */
  readonly freePages: number;
  readonly usablePages: number;
  readonly pages: readonly PageCounts[];
}

/** An engine with its page pools and native handles. */
export class ModelEngine {
  readonly engine: Engine;
  readonly #parts: EngineParts;
  readonly #pools: readonly PagePool[];

  constructor(parts: EngineParts) {
    const { addon, arena, runner, info, spec, maxBatchTokens, policy, prefixCache = true } = parts;
    const { stepStretch = Infinity } = parts;
    this.#parts = parts;
    this.#pools = arena.headGroups.map(({ pageCount }) => new PagePool(pageCount));
    this.engine = new Engine({
      runner,
      arena,
      allocateShared: (length) => addon.allocateShared(length),
      pools: this.#pools,
      vocabSize: info.vocabSize,
      embeddingLength: spec.embeddingLength,
      maxBatchTokens,
      stepStretch,
      policy,
      prefixCache,
    });
  }

  /** Counters, and the KV pages now. */
  get stats(): ModelEngineStats {
    const pages = this.#pools.map(({ usablePages, freePages, reclaimablePages }, group) => ({
      headClass: at(headClasses, group),
      usable: usablePages,
      free: freePages,
      cached: reclaimablePages,
    }));
    const sum = (count: (counts: PageCounts) => number): number =>
      pages.reduce((total, counts) => total + count(counts), 0);
    return {
      ...this.engine.stats,
      freePages: sum(({ free }) => free),
      usablePages: sum(({ usable }) => usable),
      pages,
    };
  }

  /** Where the memory is, in bytes. */
  memory(): Omit<ModelMemory, "draft"> {
    const { native, arena, runner } = this.#parts;
    return {
      weightBytes: native.weightBytes,
      mappedBytes: native.mappedBytes,
      kvBytes: arena.bytes,
      workspaceBytes: runner.workspaceBytes + this.engine.outputBytes,
    };
  }

  /** Computes with so many of the threads from the next step on, at least one. */
  limitThreads(threads: number): void {
    const { runner } = this.#parts;
    runner.limitThreads(Math.max(1, Math.min(runner.threads, Math.floor(threads))));
  }

  /** Closes every sequence, and the handles once the step in flight is over. */
  close(): void {
    const { runner, arena, native } = this.#parts;
    void this.engine.close(closedError("model")).then(() => {
      for (const handle of [runner, arena, native]) handle.close();
    });
  }
}
