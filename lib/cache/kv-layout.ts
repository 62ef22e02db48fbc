import { sinkWindowCapacity, type SinkWindowOptions } from "./sink-window.js";

/** Values of a head mask; 255 is a dropped head. */
const fullGroup = 0;
const streamGroup = 1;

/**
 * Tokens of a prompt that a windowed head group has room for besides its window. Longer chunks are not much faster, and
 * their pages would be most of what a window costs.
 */
const windowChunkTokens = 128;

/** What the KV pages of a model are to hold. */
export interface KvLayoutOptions {
  readonly pageTokens: number;
  /** Most tokens of one step. */
  readonly maxBatchTokens: number;
  /** Most tokens of one text. */
  readonly contextTokens: number;
  /** Texts of that length that are to be held at a time. */
  readonly sequences: number;
  /** Tokens of all texts together in head groups that keep them, instead of sequences * contextTokens. */
  readonly kvTokens?: number | undefined;
  /** What heads read that are not of the stream class. Default: everything. */
  readonly window?: SinkWindowOptions | undefined;
  /** [layers, kvHeads] 0 full, 1 stream, 255 dropped. Default: all 0. */
  readonly headMask?: Uint8Array | undefined;
  /** What heads of the stream class read. */
  readonly streamWindow?: SinkWindowOptions | undefined;
}

/** KV heads that share a page table. */
export interface KvGroupLayout {
  /** (layer, KV head) pairs; there may be none. */
  readonly members: number;
  /** What they read; undefined reads everything. */
  readonly window: SinkWindowOptions | undefined;
  /** The null page included. */
  readonly pages: number;
}

/**
 * The head groups of a model's KV cache and how many pages each has: group 0, and group 1 where a head is of the stream
 * class.
 *
 * @param kvHeads - of all layers
 */
export function kvLayout(kvHeads: number, options: KvLayoutOptions): readonly KvGroupLayout[] {
  const { contextTokens, pageTokens, maxBatchTokens, kvTokens, window, headMask, streamWindow } = options;
  const members = (group: number): number => {
    if (headMask === undefined) return group === fullGroup ? kvHeads : 0;
    return headMask.filter((value) => value === group).length;
  };
  const pagesOf = (tokens: number): number => Math.ceil(tokens / pageTokens);
  const windowPages = (limits: SinkWindowOptions): number => {
    const chunkTokens = Math.min(maxBatchTokens, windowChunkTokens);
    const capacity = pagesOf(sinkWindowCapacity(limits, chunkTokens, pageTokens));
    return options.sequences * Math.min(capacity, pagesOf(contextTokens));
  };
  const mainPages = (): number => {
    if (kvTokens !== undefined) return pagesOf(kvTokens);
    return window === undefined ? options.sequences * pagesOf(contextTokens) : windowPages(window);
  };
  const main = { members: members(fullGroup), window, pages: 1 + mainPages() };
  const streamed = members(streamGroup);
  if (streamed === 0 || streamWindow === undefined) return [main];
  const narrower =
    window !== undefined && window.windowTokens < streamWindow.windowTokens ? window : streamWindow;
  return [main, { members: streamed, window: narrower, pages: 1 + windowPages(narrower) }];
}
