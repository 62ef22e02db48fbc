import { type EvictionPolicy, keepAll } from "../cache/eviction-policy.js";
import {
  perHeadGroup,
  sinkWindow,
  sinkWindowCapacity,
  type SinkWindowOptions,
} from "../cache/sink-window.js";
import { invalidArgument } from "../errors/air-error.js";
import { headMaskOf, type HeadsFile } from "../model/heads-file.js";
import type { DecoderSpec } from "../native/native.js";
import { maxContextTokens, type ResolvedLoadModelOptions } from "./options.js";

/** Context length when the caller names none; trained contexts can be far longer than the memory for their K/V. */
const defaultContextTokens = 4096;

/** Sinks that a window comes with when the caller names none (StreamingLLM, arXiv 2309.17453, section 3.1). */
const defaultSinkTokens = 4;

/**
 * Tokens of a prompt that a windowed head group has room for besides its window. Longer chunks are not much faster, and
 * their pages would be most of what a window costs.
 */
const windowChunkTokens = 128;

/** The shape of a model's KV cache, and what its sequences forget. */
export interface KvSettings {
  readonly contextTokens: number;
  /** [layers, kvHeads] head group of each KV head. */
  readonly headMask: Uint8Array;
  /** Pages of each head group, the null page included. */
  readonly pageCounts: readonly number[];
  readonly policy: EvictionPolicy;
}

/** The window that options ask for, if any. */
export function windowOf({
  window,
  sinks,
}: Pick<ResolvedLoadModelOptions, "window" | "sinks">): SinkWindowOptions | undefined {
  if (window !== undefined) return { windowTokens: window, sinkTokens: sinks ?? defaultSinkTokens };
  if (sinks !== undefined) throw invalidArgument("sinks", "a window to go with it", sinks);
  return undefined;
}

/** Works out the cache of a model. Without a heads file, all KV heads are one head group. */
export function kvSettings(
  { layers, kvHeads }: Pick<DecoderSpec, "layers" | "kvHeads">,
  trainedContext: number,
  heads: HeadsFile | undefined,
  options: ResolvedLoadModelOptions,
): KvSettings {
  const { pageTokens, maxBatchTokens } = options;
  const window = windowOf(options);
  if (options.policy !== undefined && window !== undefined) {
    throw invalidArgument("window", "none with a policy of your own", window.windowTokens);
  }
  const usualContext =
    window === undefined ? Math.min(trainedContext, defaultContextTokens) : maxContextTokens;
  const contextTokens = options.contextTokens ?? usualContext;
  const pages = (tokens: number): number => Math.ceil(tokens / pageTokens) + 1;
  /** Pages of a head group whose sequences hold no more than a window. */
  const windowPages = (limits: SinkWindowOptions): number => {
    const capacity = Math.min(
      sinkWindowCapacity(limits, Math.min(maxBatchTokens, windowChunkTokens), pageTokens),
      contextTokens,
    );
    const sequences = Math.max(1, Math.ceil((options.kvTokens ?? contextTokens) / contextTokens));
    return pages(sequences * capacity);
  };
  const headMask = heads === undefined ? new Uint8Array(layers * kvHeads) : headMaskOf(heads);
  const fullPages =
    window === undefined || options.kvTokens !== undefined
      ? pages(options.kvTokens ?? contextTokens)
      : windowPages(window);
  const fullPolicy = options.policy ?? (window === undefined ? keepAll : sinkWindow(window));
  if (heads === undefined || !headMask.includes(1)) {
    return { contextTokens, headMask, pageCounts: [fullPages], policy: fullPolicy };
  }
  const stream = window === undefined ? heads.window : narrower(window, heads.window);
  return {
    contextTokens,
    headMask,
    pageCounts: [fullPages, windowPages(stream)],
    policy: perHeadGroup([fullPolicy, sinkWindow(stream)]),
  };
}

function narrower(a: SinkWindowOptions, b: SinkWindowOptions): SinkWindowOptions {
  return a.windowTokens <= b.windowTokens ? a : b;
}
