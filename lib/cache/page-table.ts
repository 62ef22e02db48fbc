import { AirError } from "../errors/air-error.js";
import { at } from "../util/array-access.js";
import type { PagePool } from "./page-pool.js";

/** One head group's pages of one sequence, in cache order. */
interface GroupPages {
  readonly pool: PagePool;
  readonly pages: number[];
  /** Tokens whose pages were dropped; cache index = token index - evictedTokens, past the sinks. */
  evictedTokens: number;
  /** One past the highest token index that was dropped. */
  evictedEnd: number;
}

/**
 * Where a sequence's tokens lie in the KV arena: a list of pages per head group. Dropping pages closes the gap, so
 * cache indices stay dense while positions keep counting.
 */
export class PageTable {
  readonly pageTokens: number;
  readonly #groups: readonly GroupPages[];
  #length = 0;

  constructor(pools: readonly PagePool[], pageTokens: number) {
    this.pageTokens = pageTokens;
    this.#groups = pools.map((pool) => ({ pool, pages: [], evictedTokens: 0, evictedEnd: 0 }));
  }

  /** Tokens appended so far, the dropped ones included. */
  get length(): number {
    return this.#length;
  }

  /** Pages held over all head groups. */
  get heldPages(): number {
    return this.#groups.reduce((sum, group) => sum + group.pages.length, 0);
  }

  /** Pages of a head group in cache order. */
  pages(headGroup: number): readonly number[] {
    return at(this.#groups, headGroup).pages;
  }

  /** Tokens whose pages were dropped from a head group. */
  evictedTokens(headGroup: number): number {
    return at(this.#groups, headGroup).evictedTokens;
  }

  /** Tokens of a head group that the arena holds. */
  cachedTokens(headGroup: number): number {
    return this.#length - this.evictedTokens(headGroup);
  }

  /** Most tokens that append() takes with the pages that are free now. */
  get appendableTokens(): number {
    const room = this.#groups.map(
      ({ pool, pages, evictedTokens }) =>
        (pages.length + pool.freePages) * this.pageTokens - (this.#length - evictedTokens),
    );
    return Math.min(...room);
  }

  /**
   * Makes room for `count` more tokens in every head group, or changes nothing.
   *
   * @throws {AirCapacityError} AIR_ERR_KV_EXHAUSTED when a group has too few free pages
   */
  append(count: number): void {
    const before = this.#length;
    this.#length += count;
    try {
      for (const group of this.#groups) {
        const cached = this.#length - group.evictedTokens;
        while (group.pages.length * this.pageTokens < cached) group.pages.push(group.pool.allocate());
      }
    } catch (error) {
      this.#length = before;
      this.#trim();
      throw error;
    }
  }

  /** Where the token with this index lies: page * pageTokens + offset. */
  slot(headGroup: number, tokenIndex: number): number {
    const group = at(this.#groups, headGroup);
    const cacheIndex = tokenIndex - group.evictedTokens;
    const offset = cacheIndex % this.pageTokens;
    return at(group.pages, (cacheIndex - offset) / this.pageTokens) * this.pageTokens + offset;
  }

  /**
   * Drops whole pages of a head group.
   *
   * @param pageIndices - indices into pages(headGroup), ascending; only full pages
   * @throws {AirError} AIR_ERR_PAGE_RANGE when one is not a full page of the table
   */
  drop(headGroup: number, pageIndices: readonly number[]): void {
    const group = at(this.#groups, headGroup);
    const fullPages = Math.floor((this.#length - group.evictedTokens) / this.pageTokens);
    for (const [order, index] of pageIndices.entries()) {
      const previous = pageIndices[order - 1] ?? -1;
      if (!Number.isInteger(index) || index <= previous || index >= fullPages) {
        throw new AirError(
          "AIR_ERR_PAGE_RANGE",
          `expected ascending full pages below ${fullPages} for dropped pages but received ${index}`,
        );
      }
    }
    for (const index of [...pageIndices].reverse()) {
      const [page] = group.pages.splice(index, 1);
      if (page !== undefined) group.pool.release(page);
    }
    const last = pageIndices.at(-1);
    if (last === undefined) return;
    group.evictedEnd = Math.max(group.evictedEnd, group.evictedTokens + (last + 1) * this.pageTokens);
    group.evictedTokens += pageIndices.length * this.pageTokens;
  }

  /**
   * Forgets every token from `length` on and frees the pages that held only those. A table that dropped tokens
   * at or past `length` no longer holds what such a prefix attends to, and is emptied.
   *
   * @returns the tokens that are left: `length`, or 0
   */
  truncate(length: number): number {
    const lost = this.#groups.some((group) => group.evictedTokens > 0 && length < group.evictedEnd);
    this.#length = lost ? 0 : Math.min(length, this.#length);
    if (this.#length === 0) {
      for (const group of this.#groups) {
        group.evictedTokens = 0;
        group.evictedEnd = 0;
      }
    }
    this.#trim();
    return this.#length;
  }

  /** Gives every page back. The table is empty afterwards and can be used again. */
  release(): void {
    this.truncate(0);
  }

  /** Releases pages past the cached tokens. */
  #trim(): void {
    for (const group of this.#groups) {
      const kept = Math.ceil((this.#length - group.evictedTokens) / this.pageTokens);
      for (const page of group.pages.splice(kept)) group.pool.release(page);
    }
  }
}
