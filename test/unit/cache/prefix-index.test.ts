import { describe, expect, test } from "vitest";

import { PagePool } from "../../../lib/cache/page-pool.js";
import { PrefixIndex, type PrefixNode } from "../../../lib/cache/prefix-index.js";

const pageTokens = 4;

function createIndex(pages: readonly number[] = [8], hash?: (parent: number, tokens: Int32Array) => number) {
  const pools = pages.map((count) => new PagePool(count + 1));
  const index = new PrefixIndex(pools, pageTokens, hash);
  /** Adds a page that only the index holds afterwards. */
  const add = (parent: PrefixNode, ...tokens: number[]): PrefixNode => {
    const taken = pools.map((pool) => pool.allocate());
    const node = index.add(parent, Int32Array.from(tokens), taken);
    for (const [headGroup, page] of taken.entries()) pools[headGroup]?.release(page);
    if (node === undefined) throw new Error("expected a node");
    return node;
  };
  const find = (parent: PrefixNode, ...tokens: number[]) => index.find(parent, Int32Array.from(tokens));
  return { pools, index, add, find };
}

describe("PrefixIndex", () => {
  test("finds a page by its tokens and the text before it", () => {
    const { index, add, find } = createIndex();
    const a = add(index.root(""), 1, 2, 3, 4);
    const b = add(a, 5, 6, 7, 8);
    expect(find(index.root(""), 1, 2, 3, 4)).toBe(a);
    expect(find(a, 5, 6, 7, 8)).toBe(b);
    expect(find(index.root(""), 5, 6, 7, 8)).toBeUndefined();
    expect(find(a, 5, 6, 7, 9)).toBeUndefined();
    expect(index.pages(b)[0]).toHaveLength(2);
  });

  test("shares nothing between keys", () => {
    const { index, add, find } = createIndex();
    add(index.root("one tenant"), 1, 2, 3, 4);
    expect(find(index.root("another"), 1, 2, 3, 4)).toBeUndefined();
    expect(find(index.root("one tenant"), 1, 2, 3, 4)).toBeDefined();
  });

  test("tells tokens apart whose hash is the same", () => {
    const { index, add, find } = createIndex([8], () => 7);
    const a = add(index.root(""), 1, 2, 3, 4);
    const b = add(index.root(""), 4, 3, 2, 1);
    const c = add(a, 4, 3, 2, 1);
    expect(find(index.root(""), 1, 2, 3, 4)).toBe(a);
    expect(find(index.root(""), 4, 3, 2, 1)).toBe(b);
    expect(find(a, 4, 3, 2, 1)).toBe(c);
    expect(find(b, 1, 2, 3, 4)).toBeUndefined();
    index.clear();
    expect(find(index.root(""), 1, 2, 3, 4)).toBeUndefined();
  });

  test("counts pages that only it holds as free, and gives up the least recently used", () => {
    const { pools, index, add, find } = createIndex([3]);
    const [pool = new PagePool(1)] = pools;
    add(index.root(""), 1, 1, 1, 1);
    const used = add(index.root(""), 2, 2, 2, 2);
    add(index.root(""), 3, 3, 3, 3);
    index.touch(used);
    expect([pool.freePages, pool.cachedPages]).toEqual([3, 3]);
    pool.allocate();
    pool.allocate();
    expect([1, 2, 3].map((token) => find(index.root(""), token, token, token, token) !== undefined)).toEqual([
      false,
      true,
      false,
    ]);
    expect([pool.freePages, pool.cachedPages, index.size]).toEqual([1, 1, 1]);
  });

  test("gives up the end of a text before its beginning", () => {
    const { pools, index, add } = createIndex([3]);
    const first = add(index.root(""), 1, 1, 1, 1);
    const second = add(first, 2, 2, 2, 2);
    const third = add(second, 3, 3, 3, 3);
    pools[0]?.allocate();
    expect([first, second, third].map(({ isKnown }) => isKnown)).toEqual([true, true, false]);
    pools[0]?.allocate();
    expect([first, second, third].map(({ isKnown }) => isKnown)).toEqual([true, false, false]);
  });

  test("gives up no page that a table holds, but what follows one that must go", () => {
    const { pools, index, add } = createIndex([3]);
    const [pool = new PagePool(1)] = pools;
    const first = add(index.root(""), 1, 1, 1, 1);
    const second = add(first, 2, 2, 2, 2);
    const held = second.pages[0] ?? 0;
    pool.retain(held); // a table that dropped the first page
    pool.allocate();
    expect(pool.freePages).toBe(1);
    const page = pool.allocate();
    expect(page).not.toBe(held);
    expect([first.isKnown, second.isKnown]).toEqual([false, false]);
    expect(() => pool.allocate()).toThrow(expect.objectContaining({ code: "AIR_ERR_KV_EXHAUSTED" }));
    pool.release(held);
    expect(pool.freePages).toBe(1);
  });

  test("frees a page of each head group with a node", () => {
    const { pools, index, add } = createIndex([4, 2]);
    const first = add(index.root(""), 1, 1, 1, 1);
    const second = add(first, 2, 2, 2, 2);
    pools[0]?.retain(second.pages[0] ?? 0); // a table that dropped the page in group 1 only
    expect(pools.map((pool) => pool.freePages)).toEqual([3, 2]);
    pools[1]?.allocate();
    expect(second.isKnown).toBe(false);
    expect(pools.map((pool) => [pool.freePages, pool.cachedPages])).toEqual([
      [3, 1],
      [1, 1],
    ]);
    index.clear();
    pools[0]?.release(second.pages[0] ?? 0);
    pools[0]?.assertWhole();
  });

  test("does not know a page as part of two texts", () => {
    const { pools, index } = createIndex();
    const pages = pools.map((pool) => pool.allocate());
    expect(index.add(index.root(""), Int32Array.of(1, 2, 3, 4), pages)).toBeDefined();
    expect(index.add(index.root("other"), Int32Array.of(1, 2, 3, 4), pages)).toBeUndefined();
    expect(index.size).toBe(1);
  });
});
