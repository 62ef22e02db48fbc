import { describe, expect, test } from "vitest";

import { PagePool } from "../../../lib/cache/page-pool.js";
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

  test("truncating into what was dropped empties the table; after it, it rolls back", () => {
    const { pools, table } = createTable(9);
    table.append(80);
    table.drop(0, [1]); // tokens 16 to 31
    table.drop(0, [1]); // tokens 32 to 47
    expect(table.truncate(48)).toBe(48);
    expect(table.cachedTokens(0)).toBe(16);
    table.append(10);
    expect(table.truncate(47)).toBe(0);
    expect(table.evictedTokens(0)).toBe(0);
    pools[0]?.assertWhole();
    table.append(80);
    table.drop(0, [1]);
    expect(table.truncate(40)).toBe(40);
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
