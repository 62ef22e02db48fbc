import { describe, expect, test } from "vitest";

import { nullPage, PagePool } from "../../../lib/cache/page-pool.js";
import { AirCapacityError } from "../../../lib/errors/air-error.js";

describe("PagePool", () => {
  test("hands out every page but the null page once, then refuses with AIR_ERR_KV_EXHAUSTED", () => {
    const pool = new PagePool(5);
    const pages = [1, 2, 3, 4].map(() => pool.allocate());
    expect(new Set(pages)).toEqual(new Set([1, 2, 3, 4]));
    expect(pages).not.toContain(nullPage);
    expect(() => pool.allocate()).toThrow(AirCapacityError);
    expect(() => pool.allocate()).toThrow(expect.objectContaining({ code: "AIR_ERR_KV_EXHAUSTED" }));
  });

  test("frees a shared page with its last holder", () => {
    const pool = new PagePool(2);
    const page = pool.allocate();
    pool.retain(page);
    pool.release(page);
    expect(pool.freePages).toBe(0);
    pool.release(page);
    expect(pool.freePages).toBe(1);
    pool.assertWhole();
  });

  test.each([0, 1, 7, -1])("refuses to release page %i that nobody holds", (page) => {
    const pool = new PagePool(3);
    expect(() => {
      pool.release(page);
    }).toThrow(expect.objectContaining({ code: "AIR_ERR_INTERNAL" }));
  });

  test("names held pages when it is not whole", () => {
    const pool = new PagePool(3);
    const page = pool.allocate();
    expect(() => {
      pool.assertWhole();
    }).toThrow(`held: ${page}`);
  });
});
