import { AirCapacityError, AirError } from "../errors/air-error.js";

/** Id of the page that pads page tables; it is never handed out. */
export const nullPage = 0;

/**
 * The page ids of one head group of an arena: which are free, and how many tables hold each of the others. A
 * page belongs either to the pool or to its holders, never to both.
 */
export class PagePool {
  /** Pages of the group in the arena, the null page included. */
  readonly pageCount: number;
  readonly #free: number[] = [];
  readonly #holders: Uint32Array; // [pageCount]

  constructor(pageCount: number) {
    this.pageCount = pageCount;
    this.#holders = new Uint32Array(pageCount);
    for (let page = pageCount - 1; page > nullPage; page -= 1) this.#free.push(page);
  }

  /** Pages that allocate() can hand out now. */
  get freePages(): number {
    return this.#free.length;
  }

  /** Pages that allocate() can hand out when nobody holds any. */
  get usablePages(): number {
    return this.pageCount - 1;
  }

  /**
   * Hands out a free page, held once.
   *
   * @throws {AirCapacityError} AIR_ERR_KV_EXHAUSTED when none is free
   */
  allocate(): number {
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
    this.#holders[page] = this.#holdersOf(page) + 1;
  }

  /** Removes a holder; the page is free when none is left. */
  release(page: number): void {
    const holders = this.#holdersOf(page) - 1;
    this.#holders[page] = holders;
    if (holders === 0) this.#free.push(page);
  }

  /**
   * Checks that every page is free, as it must be when no sequence is left.
   *
   * @throws {AirError} AIR_ERR_INTERNAL naming the pages still held or free twice
   */
  assertWhole(): void {
    const held = [...this.#holders.keys()].filter((page) => this.#holders[page] !== 0);
    const distinct = new Set(this.#free).size;
    if (held.length === 0 && distinct === this.usablePages && this.#free.length === distinct) return;
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
