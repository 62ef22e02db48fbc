import { expect, test } from "vitest";

import { byLayer, classesOf, keyOf, listByLayer } from "../../../lib/compression/head-selection.js";
import { fakeSpec } from "../../support/fake-native.js";

const spec = { ...fakeSpec(8), layers: 2, queryHeads: 4, kvHeads: 2 };

test("keyOf() names a selection whatever its order, and no other one alike", () => {
  const key = (masked: readonly number[], streamed: readonly number[]): string =>
    keyOf({ masked: new Set(masked), streamed: new Set(streamed) });
  expect(key([3, 12, 1], [2, 0])).toBe(key([1, 3, 12], [0, 2]));
  expect(key([], [])).toMatch(/^[0-9a-f]{24}$/u);
  const others = [key([], []), key([1], []), key([], [1]), key([1, 2], []), key([12], []), key([1], [2])];
  expect(new Set(others).size).toBe(others.length);
});

test("byLayer() and listByLayer() number heads by layer", () => {
  expect(byLayer(2, 3, (head) => head * 10)).toEqual([
    [0, 10, 20],
    [30, 40, 50],
  ]);
  expect(listByLayer(new Set([5, 0, 3, 2]), 3, 3)).toEqual([[0, 2], [0, 2], []]);
});

test("classesOf() drops a KV head when all of its query heads are masked, streamed or not", () => {
  const selection = { masked: new Set([2, 3, 4]), streamed: new Set([1, 2]) };
  expect(classesOf(selection, spec)).toEqual([
    ["full", "dropped"],
    ["stream", "full"],
  ]);
});
