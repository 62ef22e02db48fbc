import { type EvictionPolicy, keepAll } from "./eviction-policy.js";

/** Options of {@link sinkWindow}. */
export interface SinkWindowOptions {
  /** Tokens that a token reads besides the sinks: the newest, itself included. */
  readonly windowTokens: number;
  /** First tokens of the text, which every token reads. */
  readonly sinkTokens: number;
}

/**
 * Pages go this many tokens after the last token that reads them: guesses are computed one by one in a draft model, and
 * taken back. At least the most that speculation guesses ahead.
 */
const rollbackTokens = 16;

/**
 * Attention sinks and a sliding window (StreamingLLM, arXiv 2309.17453): a token reads the first tokens of the text and the
 * newest ones, as if nothing were between them. Memory is bounded, text is not. Pages go once no later token reads them,
 * so output is that of the same window over a cache that keeps everything, bit by bit.
 */
export function sinkWindow({ windowTokens, sinkTokens }: SinkWindowOptions): EvictionPolicy {
  return {
    name: `sinks ${sinkTokens} window ${windowTokens}`,
    decide: ({ length, incomingTokens, cachedTokens, pageTokens, pagePositions }) => {
      const isWithin = length + incomingTokens <= sinkTokens + windowTokens;
      if (isWithin) return { dropPages: [], sinkTokens: 0, windowTokens: 0 };
      const droppableFrom = length - rollbackTokens;
      const firstRead = droppableFrom + 1 - windowTokens; // by the token after that length
      const fullPages = Math.floor(cachedTokens / pageTokens);
      const dropPages: number[] = [];
      for (const [index, position] of pagePositions.slice(0, fullPages).entries()) {
        if (position >= sinkTokens && position + pageTokens <= firstRead) dropPages.push(index);
      }
      return { dropPages, droppableFrom, sinkTokens, windowTokens };
    },
    capacityTokens: (_headGroup, chunkTokens, pageTokens) =>
      sinkWindowCapacity({ windowTokens, sinkTokens }, chunkTokens, pageTokens),
  };
}

/**
 * Most tokens that a sequence under {@link sinkWindow} holds while it computes chunks of `chunkTokens`: whole pages, of
 * which the sinks and both ends of the window may fill but a part.
 */
export function sinkWindowCapacity(
  { windowTokens, sinkTokens }: SinkWindowOptions,
  chunkTokens: number,
  pageTokens: number,
): number {
  const pages = (tokens: number): number => Math.ceil(tokens / pageTokens);
  return (pages(sinkTokens) + pages(windowTokens + rollbackTokens + chunkTokens) + 1) * pageTokens;
}

/** A policy for each head group; groups past the last one keep everything. */
export function perHeadGroup(policies: readonly EvictionPolicy[]): EvictionPolicy {
  return {
    name: policies.map(({ name }) => name).join(", "),
    usesPageMass: policies.some(({ usesPageMass }) => usesPageMass === true),
    decide: (state) => (policies[state.headGroup] ?? keepAll).decide(state),
    capacityTokens: (headGroup, chunkTokens, pageTokens) =>
      (policies[headGroup] ?? keepAll).capacityTokens?.(headGroup, chunkTokens, pageTokens) ?? chunkTokens,
  };
}
