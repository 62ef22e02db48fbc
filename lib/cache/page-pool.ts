import { AirCapacityError, AirError } from "../errors/air-error.js";

/** Id of the page that pads page tables; it is never handed out. */
export const nullPage = 0;

/** A cache that holds pages of a pool, and gives them up when they are needed. */
export interface PageCache {
  /** Gives up at least one page that nobody else holds; the pool says that there is one. */
  reclaim(): void;
  /** Gives up this page. */
  forget(page: number): void;
}

/**
 * The page ids of one head group of an arena: which are free, and how many tables hold each of the others. A
 * page belongs either to the pool or to its holders, never to both. One holder may be a cache, whose pages count as
 * free as long as nobody else holds them.
 */
export class PagePool {
  /** Pages of the group in the arena, the null page included. */
  readonly pageCount: number;
  readonly #free: number[] = [];
  readonly #holders: Uint32Array; // [pageCount], the cache included
  readonly #isCached: Uint8Array; // [pageCount]
  #cache: PageCache | undefined;
  #cachedPages = 0;
  /** Pages that only the cache holds. */
  #reclaimable = 0;

  constructor(pageCount: number) {
    this.pageCount = pageCount;
    this.#holders = new Uint32Array(pageCount);
    this.#isCached = new Uint8Array(pageCount);
    for (let page = pageCount - 1; page > nullPage; page -= 1) this.#free.push(page);
  }

  /** Pages that allocate() can hand out now. */
  get freePages(): number {
    return this.#free.length + this.#reclaimable;
  }

  /** Pages that allocate() can hand out when nobody holds any. */
  get usablePages(): number {
    return this.pageCount - 1;
  }

  /** Pages that the cache holds. */
  get cachedPages(): number {
    return this.#cachedPages;
  }

  /** Pages that only the cache holds; they count as free. */
  get reclaimablePages(): number {
    return this.#reclaimable;
  }

  /**
   * Hands out a free page, held once.
   *
   * @throws {AirCapacityError} AIR_ERR_KV_EXHAUSTED when none is free
   */
  allocate(): number {
    if (this.#free.length === 0 && this.#reclaimable > 0) this.#cache?.reclaim();
    const page = this.#free.pop();
    if (page === undefined) {
      throw new AirCapacityError(
        "AIR_ERR_KV_EXHAUSTED",
        `expected a free page for the KV cache but received none: all ${this.usablePages} are held`,
      );
    }
    this.#holders[page] = 1;
    return page;
  }

  /** Adds a holder to a held page, so that tables can share it. */
  retain(page: number): void {
    const holders = this.#holdersOf(page);
    if (holders === 1 && this.#isCached[page] === 1) this.#reclaimable -= 1;
    this.#holders[page] = holders + 1;
  }

  /** Removes a holder; the page is free when none is left. */
  release(page: number): void {
    const holders = this.#holdersOf(page) - 1;
    this.#holders[page] = holders;
    if (holders === 0) this.#free.push(page);
    else if (holders === 1 && this.#isCached[page] === 1) this.#reclaimable += 1;
  }

  /** Whether a held page has more holders than one. */
  isShared(page: number): boolean {
    return this.#holdersOf(page) > 1;
  }

  /** Whether the cache holds a page. */
  isCached(page: number): boolean {
    return this.#isCached[page] === 1;
  }

  /** Whether only the cache holds a page. */
  isReclaimable(page: number): boolean {
    return this.isCached(page) && this.#holdersOf(page) === 1;
  }

  /** Whether a page has one holder besides the cache, which can be made to forget it. */
  canBeForgotten(page: number): boolean {
    return this.isCached(page) && this.#holdersOf(page) === 2;
  }

  /** Makes the cache give up a page. */
  forget(page: number): void {
    if (this.isCached(page)) this.#cache?.forget(page);
  }

  /** Sets who holds pages as a cache. */
  attachCache(cache: PageCache): void {
    this.#cache = cache;
  }

  /** Makes the cache a holder of a page that somebody else holds. */
  cache(page: number): void {
    if (this.isCached(page)) {
      throw new AirError("AIR_ERR_INTERNAL", `expected a page outside the cache but received ${page}`);
    }
    this.retain(page);
    this.#isCached[page] = 1;
    this.#cachedPages += 1;
  }

  /** Removes the cache from the holders of a page. */
  uncache(page: number): void {
    if (!this.isCached(page)) {
      throw new AirError("AIR_ERR_INTERNAL", `expected a cached page but received ${page}`);
    }
    if (this.isReclaimable(page)) this.#reclaimable -= 1;
    this.#isCached[page] = 0;
    this.#cachedPages -= 1;
    this.release(page);
  }

  /**
   * Checks that every page is free, as it must be when no sequence and no cache is left.
   *
   * @throws {AirError} AIR_ERR_INTERNAL naming the pages still held or free twice
   */
  assertWhole(): void {
    const held = [...this.#holders.keys()].filter((page) => this.#holders[page] !== 0);
    const distinct = new Set(this.#free).size;
    const isWhole =
      distinct === this.usablePages && this.#free.length === distinct && this.#reclaimable === 0;
    if (held.length === 0 && isWhole) return;
    throw new AirError(
      "AIR_ERR_INTERNAL",
      `expected ${this.usablePages} free pages for a whole pool but received ${distinct} ` +
        `(${this.#free.length} entries); held: ${held.join(", ") || "none"}`,
    );
  }

  #holdersOf(page: number): number {
    const holders = this.#holders[page] ?? 0;
    if (holders > 0) return holders;
    throw new AirError("AIR_ERR_INTERNAL", `expected a held page for the page pool but received ${page}`);
  }
}
