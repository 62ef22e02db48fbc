import { describe, expect, test } from "vitest";

import { PagePool } from "../../../lib/cache/page-pool.js";
import { isPossibleState } from "../../../lib/cache/page-table-state.js";
import { PageTable } from "../../../lib/cache/page-table.js";

const pageTokens = 16;

function createTable(...pageCounts: number[]): { pools: PagePool[]; table: PageTable } {
  const pools = pageCounts.map((count) => new PagePool(count));
  return { pools, table: new PageTable(pools, pageTokens, () => undefined) };
}

describe("PageTable", () => {
  test("takes a page per pageTokens tokens and head group, the last one when the first token needs it", () => {
    const { table } = createTable(9, 9);
    table.append(16);
    expect([table.pages(0).length, table.pages(1).length]).toEqual([1, 1]);
    table.append(1);
    expect(table.heldPages).toBe(4);
  });

  test("gives every token a slot of its own in pages order", () => {
    const { table } = createTable(9);
    table.append(40);
    const slots = Array.from({ length: 40 }, (_, index) => table.slot(0, index));
    expect(new Set(slots).size).toBe(40);
    expect(slots[17]).toBe((table.pages(0)[1] ?? 0) * pageTokens + 1);
  });

  test("changes nothing when one group has too few pages", () => {
    const { pools, table } = createTable(9, 2);
    table.append(10);
    expect(() => {
      table.append(20);
    }).toThrow(expect.objectContaining({ code: "AIR_ERR_KV_EXHAUSTED" }));
    expect(table.length).toBe(10);
    expect(pools.map((pool) => pool.freePages)).toEqual([7, 0]);
    expect(table.appendableTokens).toBe(6);
  });

  test("truncating frees the pages past the new end and keeps the slots before it", () => {
    const { pools, table } = createTable(9);
    table.append(40);
    const before = Array.from({ length: 16 }, (_, index) => table.slot(0, index));
    expect(table.truncate(16)).toBe(16);
    expect(pools[0]?.freePages).toBe(7);
    expect(before).toEqual(Array.from({ length: 16 }, (_, index) => table.slot(0, index)));
    table.release();
    pools[0]?.assertWhole();
  });

  test("dropping pages closes the gap in cache indices and leaves token indices", () => {
    const { pools, table } = createTable(9);
    table.append(64);
    const last = table.slot(0, 63);
    table.drop(0, [1, 2]);
    expect(table.cachedTokens(0)).toBe(32);
    expect(table.evictedTokens(0)).toBe(32);
    expect(table.length).toBe(64);
    expect(table.slot(0, 63)).toBe(last);
    table.append(1);
    expect(table.slot(0, 64)).toBe((table.pages(0)[2] ?? 0) * pageTokens);
    expect(pools[0]?.freePages).toBe(5);
  });

  test("rolls back to the length of the last drop, and is emptied by less", () => {
    const { pools, table } = createTable(9);
    table.append(64);
    table.drop(0, [1]); // tokens 16 to 31
    table.append(16);
    table.drop(0, [1]); // tokens 32 to 47, decided at length 80
    table.append(10);
    expect(table.truncate(80)).toBe(80);
    expect([table.cachedTokens(0), table.evictedTokens(0)]).toEqual([48, 32]);
    // Token 48 may have been kept for the tokens from 80 on only.
    expect(table.truncate(79)).toBe(0);
    expect(table.evictedTokens(0)).toBe(0);
    pools[0]?.assertWhole();
    table.append(40);
    expect(table.truncate(1)).toBe(1);
  });

  test("rolls back as far as a drop could have been made", () => {
    const { table } = createTable(9);
    table.append(80);
    table.drop(0, [1], 70);
    table.drop(0, [1], 60); // the earlier drop holds
    expect(table.truncate(75)).toBe(75);
    expect(table.truncate(70)).toBe(70);
    expect(table.truncate(69)).toBe(0);
  });

  test("knows the first token of each page through drops, appends and truncation", () => {
    const { table } = createTable(9, 9);
    table.append(70);
    expect(table.pagePositions(0)).toEqual([0, 16, 32, 48, 64]);
    table.drop(1, [1, 3]);
    expect(table.pagePositions(0)).toEqual([0, 16, 32, 48, 64]);
    expect(table.pagePositions(1)).toEqual([0, 32, 64]);
    table.append(20);
    expect(table.pagePositions(1)).toEqual([0, 32, 64, 80]);
    expect(table.pagesAt(32)).toEqual([table.pages(0)[2], table.pages(1)[1]]);
    expect(table.pagesAt(16)).toBeUndefined();
    table.truncate(70);
    expect(table.pagePositions(1)).toEqual([0, 32, 64]);
    table.release();
    expect(table.pagePositions(1)).toEqual([]);
  });

  test.each([
    ["a page that is not full", [4]],
    ["descending indices", [2, 1]],
    ["the same page twice", [1, 1]],
    ["a negative index", [-1]],
  ])("refuses to drop %s and drops nothing", (_name, pages) => {
    const { table } = createTable(9);
    table.append(70);
    expect(() => {
      table.drop(0, pages);
    }).toThrow(expect.objectContaining({ code: "AIR_ERR_PAGE_RANGE" }));
    expect(table.cachedTokens(0)).toBe(70);
  });
});

describe("PageTable.fork", () => {
  function forkedAt(length: number, pageCount: number) {
    const copies: (readonly [number, number])[] = [];
    const pool = new PagePool(pageCount);
    const table = new PageTable([pool], pageTokens, (_, from, to) => copies.push([from, to]));
    table.append(length);
    return { pool, table, fork: table.fork(), copies };
  }

  test("shares every page; whoever writes to a partly filled one first gets a copy", () => {
    const { pool, table, fork, copies } = forkedAt(40, 9);
    expect(fork.pages(0)).toEqual(table.pages(0));
    expect(pool.freePages).toBe(5);
    const [, , shared] = table.pages(0);
    fork.append(1);
    expect(copies).toEqual([[shared, fork.pages(0)[2]]]);
    expect(table.pages(0)[2]).toBe(shared);
    expect(fork.pages(0).slice(0, 2)).toEqual(table.pages(0).slice(0, 2));
    table.append(1);
    expect(copies).toHaveLength(1);
    fork.release();
    table.release();
    pool.assertWhole();
  });

  test("copies nothing when the last page is full", () => {
    const { table, fork, copies } = forkedAt(32, 9);
    fork.append(1);
    table.append(1);
    expect(copies).toEqual([]);
    expect(fork.pages(0)[2]).not.toBe(table.pages(0)[2]);
  });

  test("can take no token when there is no page for the copy", () => {
    const { table, fork } = forkedAt(40, 4);
    expect(fork.appendableTokens).toBe(0);
    expect(() => {
      fork.append(1);
    }).toThrow(expect.objectContaining({ code: "AIR_ERR_KV_EXHAUSTED" }));
    expect(fork.pages(0)).toEqual(table.pages(0));
    table.release();
    expect(fork.appendableTokens).toBe(8);
  });

  test("keeps what was dropped, and the length at which it was", () => {
    const { pool, table } = forkedAt(64, 9);
    table.drop(0, [1]);
    const fork = table.fork();
    expect([fork.evictedTokens(0), fork.pagePositions(0)]).toEqual([16, [0, 32, 48]]);
    expect(fork.truncate(63)).toBe(0);
    expect(table.length).toBe(64);
    expect(pool.freePages).toBe(4);
  });
});

describe("PageTable.restore", () => {
  test("takes pages for the state of another table, as restored ones until it is empty", () => {
    const { table } = createTable(9, 9);
    table.append(70);
    table.drop(1, [1, 2]);
    const { state } = table;
    const { pools, table: other } = createTable(9, 9);
    other.restore(state);
    expect(other.state).toEqual(state);
    expect([other.evictedTokens(1), other.isRestored, other.fork().isRestored]).toEqual([32, true, true]);
    expect(other.truncate(70)).toBe(70);
    expect(other.isRestored).toBe(true);
    expect(other.truncate(69)).toBe(0);
    expect(other.isRestored).toBe(false);
    expect(pools.map((pool) => pool.freePages)).toEqual([3, 5]); // the fork's
  });

  test("takes no page when there are too few", () => {
    const { table } = createTable(9, 9);
    table.append(70);
    const { pools, table: other } = createTable(9, 4);
    expect(() => {
      other.restore(table.state);
    }).toThrow(expect.objectContaining({ code: "AIR_ERR_KV_EXHAUSTED" }));
    expect(other.length).toBe(0);
    for (const pool of pools) pool.assertWhole();
  });

  test.each([
    ["of a table that can be", { length: 40, droppedAt: 0, pagePositions: [[0, 16, 32]] }, true],
    ["with pages dropped", { length: 70, droppedAt: 60, pagePositions: [[0, 48, 64]] }, true],
    ["of an empty table", { length: 0, droppedAt: 0, pagePositions: [[]] }, true],
    ["with too few groups", { length: 40, droppedAt: 0, pagePositions: [] }, false],
    ["with a page past the end", { length: 40, droppedAt: 0, pagePositions: [[0, 16, 32, 48]] }, false],
    ["with a page twice", { length: 40, droppedAt: 0, pagePositions: [[0, 16, 16]] }, false],
    ["with a position inside a page", { length: 40, droppedAt: 0, pagePositions: [[0, 8, 32]] }, false],
    ["with pages missing and no drop", { length: 40, droppedAt: 0, pagePositions: [[0, 32]] }, false],
    ["with a drop and no pages missing", { length: 40, droppedAt: 32, pagePositions: [[0, 16, 32]] }, false],
    ["with a page missing that was not full", { length: 40, droppedAt: 40, pagePositions: [[0, 16]] }, false],
    [
      "with a page missing after the drop",
      { length: 70, droppedAt: 30, pagePositions: [[0, 32, 64]] },
      false,
    ],
    ["with a drop past the end", { length: 40, droppedAt: 41, pagePositions: [[0, 32]] }, false],
  ])("tells that a state %s is possible or not", (_name, state, isPossible) => {
    expect(isPossibleState(state, 1, pageTokens)).toBe(isPossible);
  });
});
