import { AirError } from "../errors/air-error.js";
import { at } from "../util/array-access.js";
import type { PagePool } from "./page-pool.js";

/** Copies the bytes of page `from` of a head group to page `to`. */
export type CopyPage = (headGroup: number, from: number, to: number) => void;

/** One head group's pages of one sequence, in cache order. */
interface GroupPages {
  readonly pool: PagePool;
  readonly pages: number[];
  /** Index of the first token of each page. */
  readonly positions: number[];
  /** Tokens whose pages were dropped; cache index = token index - evictedTokens, past the sinks. */
  evictedTokens: number;
}

/** What a table holds, without the page ids. */
export interface PageTableState {
  readonly length: number;
  /** Least length at which all that was dropped could be; 0 when nothing was dropped. */
  readonly droppedAt: number;
  /** By head group: index of the first token of each page, ascending. */
  readonly pagePositions: readonly (readonly number[])[];
}

/**
 * Where a sequence's tokens lie in the KV arena: a list of pages per head group. Dropping pages closes the gap, so
 * cache indices stay dense while positions keep counting. Tables may share pages; one that is about to write to a page
 * that others hold gets a copy of its own first.
 */
export class PageTable {
  readonly pageTokens: number;
  readonly #groups: readonly GroupPages[];
  readonly #copyPage: CopyPage;
  #length = 0;
  #droppedAt = 0;
  #isRestored = false;

  /** @param copyPage - called by append() */
  constructor(pools: readonly PagePool[], pageTokens: number, copyPage: CopyPage) {
    this.pageTokens = pageTokens;
    this.#copyPage = copyPage;
    this.#groups = pools.map((pool) => ({ pool, pages: [], positions: [], evictedTokens: 0 }));
  }

  /** Tokens appended so far, the dropped ones included. */
  get length(): number {
    return this.#length;
  }

  /** Whether pages came from restore(): their bytes were not computed here. */
  get isRestored(): boolean {
    return this.#isRestored;
  }

  /** Pages held over all head groups. */
  get heldPages(): number {
    return this.#groups.reduce((sum, group) => sum + group.pages.length, 0);
  }

  /** What the table holds. */
  get state(): PageTableState {
    const pagePositions = this.#groups.map(({ positions }) => [...positions]);
    return { length: this.#length, droppedAt: this.#droppedAt, pagePositions };
  }

  /** Pages of a head group in cache order. */
  pages(headGroup: number): readonly number[] {
    return at(this.#groups, headGroup).pages;
  }

  /** Index of the first token of each page of a head group. */
  pagePositions(headGroup: number): readonly number[] {
    return at(this.#groups, headGroup).positions;
  }

  /** The page of each head group whose first token has this index; undefined when one was dropped. */
  pagesAt(position: number): readonly number[] | undefined {
    const pages = this.#groups.map((group) => {
      const index = (position - group.evictedTokens) / this.pageTokens;
      if (group.positions[index] === position) return group.pages[index];
      return group.pages[group.positions.indexOf(position)];
    });
    return pages.every((page) => page !== undefined) ? pages : undefined;
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
    const room = this.#groups.map((group) => {
      const { pool, pages, evictedTokens } = group;
      const tail = this.#sharedTail(group);
      const copies = tail === undefined || pool.canBeForgotten(tail) ? 0 : 1;
      const capacity = (pages.length + pool.freePages - copies) * this.pageTokens;
      return Math.max(0, capacity - (this.#length - evictedTokens));
    });
    return Math.min(...room);
  }

  /**
   * Makes room for `count` more tokens in every head group, or changes nothing.
   *
   * @throws {AirCapacityError} AIR_ERR_KV_EXHAUSTED when a group has too few free pages
   */
  append(count: number): void {
    if (count === 0) return;
    const before = this.#length;
    try {
      for (const [headGroup, group] of this.#groups.entries()) {
        const pages = Math.ceil((before + count - group.evictedTokens) / this.pageTokens);
        this.#ownTail(headGroup, group, pages - group.pages.length);
        while (group.pages.length < pages) {
          const position = group.evictedTokens + group.pages.length * this.pageTokens;
          group.pages.push(group.pool.allocate());
          group.positions.push(position);
        }
      }
    } catch (error) {
      this.#trim();
      throw error;
    }
    this.#length = before + count;
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
   * @param droppableFrom - least length at which they could be dropped, at most the current one
   * @throws {AirError} AIR_ERR_PAGE_RANGE when one is not a full page of the table
   */
  drop(headGroup: number, pageIndices: readonly number[], droppableFrom = this.#length): void {
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
    if (pageIndices.length === 0) return;
    for (const index of [...pageIndices].reverse()) {
      const [page] = group.pages.splice(index, 1);
      group.positions.splice(index, 1);
      if (page !== undefined) group.pool.release(page);
    }
    group.evictedTokens += pageIndices.length * this.pageTokens;
    this.#droppedAt = Math.max(this.#droppedAt, droppableFrom);
  }

  /**
   * Forgets every token from `length` on and frees the pages that held only those. A table that gets too short for what
   * was dropped may lack what such a prefix attends to, and is emptied.
   *
   * @returns the tokens that are left: `length`, or 0
   */
  truncate(length: number): number {
    this.#length = length < this.#droppedAt ? 0 : Math.min(length, this.#length);
    if (this.#length === 0) {
      for (const group of this.#groups) group.evictedTokens = 0;
      this.#droppedAt = 0;
      this.#isRestored = false;
    }
    this.#trim();
    return this.#length;
  }

  /** Gives every page back. The table is empty afterwards and can be used again. */
  release(): void {
    this.truncate(0);
  }

  /** A table of the same tokens that shares the pages. */
  fork(): PageTable {
    const pools = this.#groups.map(({ pool }) => pool);
    const fork = new PageTable(pools, this.pageTokens, this.#copyPage);
    fork.#length = this.#length;
    fork.#droppedAt = this.#droppedAt;
    fork.#isRestored = this.#isRestored;
    for (const [index, { pool, pages, positions, evictedTokens }] of this.#groups.entries()) {
      const group = at(fork.#groups, index);
      for (const page of pages) pool.retain(page);
      group.pages.push(...pages);
      group.positions.push(...positions);
      group.evictedTokens = evictedTokens;
    }
    return fork;
  }

  /**
   * Makes an empty table share full pages that others hold.
   *
   * @param pages - by head group, as many in each
   */
  adopt(pages: readonly (readonly number[])[]): void {
    this.#assertEmpty();
    for (const [index, group] of this.#groups.entries()) {
      const adopted = at(pages, index);
      for (const page of adopted) group.pool.retain(page);
      group.pages.push(...adopted);
      group.positions.push(...adopted.map((_, order) => order * this.pageTokens));
      this.#length = adopted.length * this.pageTokens;
    }
  }

  /**
   * Takes pages for the state of another table, whose bytes the caller brings; or changes nothing.
   *
   * @param state - the table is empty, and the state one that a table can have
   * @throws {AirCapacityError} AIR_ERR_KV_EXHAUSTED when a group has too few free pages
   */
  restore(state: PageTableState): void {
    this.#assertEmpty();
    try {
      for (const [index, group] of this.#groups.entries()) {
        for (const position of at(state.pagePositions, index)) {
          group.pages.push(group.pool.allocate());
          group.positions.push(position);
        }
        const pages = Math.ceil(state.length / this.pageTokens);
        group.evictedTokens = (pages - group.pages.length) * this.pageTokens;
      }
    } catch (error) {
      this.truncate(0);
      throw error;
    }
    this.#length = state.length;
    this.#droppedAt = state.droppedAt;
    this.#isRestored = true;
  }

  #assertEmpty(): void {
    if (this.#length === 0) return;
    throw new AirError(
      "AIR_ERR_INTERNAL",
      `expected an empty page table but received ${this.#length} tokens`,
    );
  }

  /** The last page, when it is partly filled and others hold it too. */
  #sharedTail({ pool, pages, evictedTokens }: GroupPages): number | undefined {
    if ((this.#length - evictedTokens) % this.pageTokens === 0) return undefined;
    const tail = at(pages, pages.length - 1);
    return pool.isShared(tail) ? tail : undefined;
  }

  /**
   * Makes the table the only holder of a partly filled last page. A cache keeps its page, unless the copy would take one
   * of the `needed` pages that come after.
   */
  #ownTail(headGroup: number, group: GroupPages, needed: number): void {
    const { pool, pages } = group;
    const tail = this.#sharedTail(group);
    if (tail === undefined) return;
    if (pool.canBeForgotten(tail) && pool.freePages <= needed) {
      pool.forget(tail);
      return;
    }
    const copy = pool.allocate();
    this.#copyPage(headGroup, tail, copy);
    pages[pages.length - 1] = copy;
    pool.release(tail);
  }

  /** Releases pages past the cached tokens. */
  #trim(): void {
    for (const { pool, pages, positions, evictedTokens } of this.#groups) {
      const kept = Math.ceil((this.#length - evictedTokens) / this.pageTokens);
      positions.length = Math.min(kept, positions.length);
      for (const page of pages.splice(kept)) pool.release(page);
    }
  }
}
