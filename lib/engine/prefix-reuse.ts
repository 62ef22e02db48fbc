import type { PagePool } from "../cache/page-pool.js";
import { PrefixIndex, type PrefixNode } from "../cache/prefix-index.js";
import type { Sequence } from "./sequence.js";

/** How often texts began like earlier ones. */
export interface PrefixCacheStats {
  /** Runs that had at least a page to compute and looked for it. */
  readonly lookups: number;
  /** Of those, runs that took over pages. */
  readonly hits: number;
  /** Tokens that were taken over and not computed. */
  readonly hitTokens: number;
  /** Pages that the cache holds over all head groups, those in use by sequences included. */
  readonly cachedPages: number;
}

/**
 * Lets sequences share the pages of texts that begin alike. What it relies on: the K/V of a token depend on the tokens
 * up to it and on the eviction policy, not on the steps that computed them.
 */
export class PrefixReuse {
  readonly #index: PrefixIndex;
  readonly #pools: readonly PagePool[];
  #counts = { lookups: 0, hits: 0, hitTokens: 0 };

  constructor(pools: readonly PagePool[], pageTokens: number) {
    this.#index = new PrefixIndex(pools, pageTokens);
    this.#pools = pools;
  }

  get stats(): PrefixCacheStats {
    const cachedPages = this.#pools.reduce((sum, pool) => sum + pool.cachedPages, 0);
    return { ...this.#counts, cachedPages };
  }

  /**
   * Before a step: when more of a sequence's text is known than the sequence has K/V for, it takes over those pages.
   * The tokens whose logits are wanted stay to be computed.
   */
  adopt(sequence: Sequence): void {
    const { pageTokens } = this.#index;
    const pages = Math.floor(Math.min(sequence.logitsFrom, settledTokens(sequence)) / pageTokens);
    if (pages * pageTokens <= sequence.computedTokens) return;
    if (!sequence.lookedUp) this.#counts.lookups += 1;
    sequence.lookedUp = true;
    const node = this.#follow(sequence, pages);
    const gained = node.depth * pageTokens - sequence.computedTokens;
    if (gained <= 0) return;
    this.#index.touch(node);
    sequence.adopt(this.#index.pages(node));
    if (!sequence.tookOver) this.#counts.hits += 1;
    sequence.tookOver = true;
    this.#counts.hitTokens += gained;
  }

  /**
   * By head group, the pages that adopt() would take over for a sequence without K/V and that others hold anyway, so that
   * they cost it nothing.
   */
  sharedPages(sequence: Sequence): readonly number[] {
    if (sequence.computedTokens > 0) return [];
    const pages = Math.floor(Math.min(sequence.logitsFrom, settledTokens(sequence)) / this.#index.pageTokens);
    const known = this.#index.pages(this.#follow(sequence, pages));
    return this.#pools.map(
      (pool, headGroup) => (known[headGroup] ?? []).filter((page) => !pool.isReclaimable(page)).length,
    );
  }

  /** After a step: makes the full pages of a sequence known that it has computed and holds. */
  register(sequence: Sequence): void {
    const { table } = sequence;
    const { pageTokens } = this.#index;
    const full = Math.floor(Math.min(table.length, settledTokens(sequence)) / pageTokens);
    if (table.isRestored || full <= sequence.registeredPages) return;
    sequence.registeredPages = full;
    let node = this.#follow(sequence, full);
    while (node.depth < full) {
      const pages = table.pagesAt(node.depth * pageTokens);
      const added = pages && this.#index.add(node, pageOf(sequence, node.depth, pageTokens), pages);
      if (added === undefined) break; // it was dropped before the pages of another text were given up
      node = added;
    }
    this.#index.touch(node);
    sequence.prefix = node;
  }

  /** Forgets every page. */
  clear(): void {
    this.#index.clear();
  }

  /** The last known page of the sequence's text, of its first `pages` pages. */
  #follow(sequence: Sequence, pages: number): PrefixNode {
    const { prefix, prefixKey } = sequence;
    const isStart = prefix?.isKnown !== true || prefix.depth === 0;
    let node = isStart ? this.#index.root(prefixKey) : this.#index.ancestor(prefix, pages);
    while (node.depth < pages) {
      const next = this.#index.find(node, pageOf(sequence, node.depth, this.#index.pageTokens));
      if (next === undefined) break;
      node = next;
    }
    sequence.prefix = node;
    return node;
  }
}

/** Tokens that are known and no guesses. */
function settledTokens(sequence: Sequence): number {
  return sequence.knownTokens - sequence.draftTokens;
}

function pageOf(sequence: Sequence, page: number, pageTokens: number): Int32Array {
  return Int32Array.from({ length: pageTokens }, (_, offset) => sequence.token(page * pageTokens + offset));
}
