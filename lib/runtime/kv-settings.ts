import { type EvictionPolicy, keepAll } from "../cache/eviction-policy.js";
import { kvLayout, type KvLayoutOptions } from "../cache/kv-layout.js";
import { perHeadGroup, sinkWindow, type SinkWindowOptions } from "../cache/sink-window.js";
import { invalidArgument } from "../errors/air-error.js";
import { headMaskOf, type HeadsFile } from "../model/heads-file.js";
import type { DecoderSpec, KvType } from "../native/native.js";
import { maxContextTokens, type ResolvedLoadModelOptions } from "./options.js";

/** Context length when the caller names none; trained contexts can be far longer than the memory for their K/V. */
const defaultContextTokens = 4096;

/** Sinks that a window comes with when the caller names none (StreamingLLM, arXiv 2309.17453, section 3.1). */
const defaultSinkTokens = 4;

/**
 * Whether keys are stored rotated unless a caller says otherwise. Measured: without outliers rotation changes little, with
 * them it takes int4 keys to a third of the divergence and less; int8 keys seldom need it (docs/kv-compression.md).
 */
export function rotatesKeys(keys: KvType, asked?: boolean): boolean {
  return asked ?? keys === "int4";
}

/** The window that options ask for, if any. */
export function windowOf(
  windowTokens: number | undefined,
  sinkTokens: number | undefined,
): SinkWindowOptions | undefined {
  if (windowTokens !== undefined) return { windowTokens, sinkTokens: sinkTokens ?? defaultSinkTokens };
  if (sinkTokens !== undefined) throw invalidArgument("sinks", "a window beside them", sinkTokens);
  return undefined;
}

/** Most tokens of one text: what was asked for, or what the model was trained for within bounds. Windows have none. */
export function contextOf(
  trainedContext: number,
  asked: number | undefined,
  window: SinkWindowOptions | undefined,
): number {
  if (asked !== undefined) return asked;
  return window === undefined ? Math.min(trainedContext, defaultContextTokens) : maxContextTokens;
}

/** What the options of loadModel() ask of the KV cache. */
export function kvDemand(
  trainedContext: number,
  heads: HeadsFile | undefined,
  options: ResolvedLoadModelOptions,
): KvLayoutOptions {
  const { pageTokens, maxBatchTokens, kvTokens, policy } = options;
  const window = windowOf(options.window, options.sinks);
  if (policy !== undefined && window !== undefined) {
    throw invalidArgument("window", "none beside a policy of your own", window.windowTokens);
  }
  const contextTokens = contextOf(trainedContext, options.contextTokens, window);
  return {
    pageTokens,
    maxBatchTokens,
    contextTokens,
    sequences: Math.max(1, Math.ceil((kvTokens ?? 0) / contextTokens)),
    kvTokens,
    window,
    ...(heads && { headMask: headMaskOf(heads), streamWindow: heads.window }),
  };
}

/** The shape of a model's KV cache, and what its sequences forget. */
export interface KvSettings {
  readonly contextTokens: number;
  /** [layers, kvHeads] head group of each KV head. */
  readonly headMask: Uint8Array;
  /** Pages of each head group, the null page included. */
  readonly pageCounts: readonly number[];
  readonly policy: EvictionPolicy;
}

/** Works out the cache of a model. Without a heads file, all KV heads are one head group. */
export function kvSettings(
  { layers, kvHeads }: Pick<DecoderSpec, "layers" | "kvHeads">,
  demand: KvLayoutOptions,
  ownPolicy: EvictionPolicy | undefined,
): KvSettings {
  const groups = kvLayout(layers * kvHeads, demand);
  const policies = groups.map(({ window }) => (window === undefined ? keepAll : sinkWindow(window)));
  const [main = keepAll, ...others] = policies;
  const first = ownPolicy ?? main;
  return {
    contextTokens: demand.contextTokens,
    headMask: demand.headMask ?? new Uint8Array(layers * kvHeads),
    pageCounts: groups.map(({ pages }) => pages),
    policy: others.length === 0 ? first : perHeadGroup([first, ...others]),
  };
}
