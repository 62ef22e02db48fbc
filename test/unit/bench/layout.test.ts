import { describe, expect, test } from "vitest";
import { layerLayouts, withoutSource, type MatrixLayout } from "../../../bench/models/layout.js";
import { checkInflatable, type ModelShape } from "../../../bench/models/shapes.js";

const source: ModelShape = {
  width: 64,
  layers: 1,
  queryHeads: 4,
  kvHeads: 2,
  headDim: 4,
  feedForward: 32,
};
/** Groups grow from 2 query heads to 3, heads from 4 dims to 8, and a KV head is new. */
const target: ModelShape = {
  width: 96,
  layers: 2,
  queryHeads: 9,
  kvHeads: 3,
  headDim: 8,
  feedForward: 64,
};

const origins = (layout: MatrixLayout) =>
  Array.from({ length: layout.rows }, (_, row) => layout.rowOrigin(row));

describe("layerLayouts", () => {
  const layouts = layerLayouts(source, target);

  test("moves RoPE pair j of a key head to pair j * spread, where its frequency is", () => {
    const [first, second, third] = [0, 8, 16].map((start) => origins(layouts.attn_k).slice(start, start + 8));
    expect(first).toEqual([0, 1, "zero", "zero", 2, 3, "zero", "zero"]);
    expect(second).toEqual([4, 5, "zero", "zero", 6, 7, "zero", "zero"]);
    expect(third).toEqual(new Array(8).fill("noise"));
  });

  test("keeps every frequency: pair index over head width is the same in source and target", () => {
    origins(layouts.attn_q).forEach((origin, row) => {
      if (typeof origin !== "number") return;
      const sourcePair = Math.floor((origin % source.headDim) / 2);
      const targetPair = Math.floor((row % target.headDim) / 2);
      expect(targetPair / target.headDim).toBe(sourcePair / source.headDim);
      expect(row % 2).toBe(origin % 2);
    });
  });

  test("keeps query heads in the group of their KV head", () => {
    const headOrigins = Array.from({ length: target.queryHeads }, (_, head) => {
      const origin = layouts.attn_q.rowOrigin(head * target.headDim);
      return typeof origin === "number" ? origin / source.headDim : origin;
    });
    expect(headOrigins).toEqual([0, 1, "noise", 2, 3, "noise", "noise", "noise", "noise"]);
  });

  test("reads the values of a head where the head puts them", () => {
    expect(origins(layouts.attn_v).slice(0, 8)).toEqual([0, 1, 2, 3, "zero", "zero", "zero", "zero"]);
    expect(layouts.attn_output.columnRuns).toEqual([
      { from: 0, to: 0, length: 4 },
      { from: 4, to: 8, length: 4 },
      { from: 8, to: 24, length: 4 },
      { from: 12, to: 32, length: 4 },
    ]);
  });

  test("makes up for the division of scores by the square root of the head width", () => {
    expect(layouts.attn_q.factor).toBe(Math.SQRT2);
    expect(layouts.attn_k.factor).toBe(1);
  });

  test.each(["attn_output", "ffn_down"] as const)("writes nothing to new residual channels in %s", (name) => {
    expect(origins(layouts[name]).slice(source.width)).toEqual(new Array(32).fill("zero"));
    expect(layouts[name].otherColumns).toBe("zero");
  });

  test("makes a new layer write zeros and compute noise", () => {
    expect(new Set(origins(withoutSource(layouts.ffn_down)))).toEqual(new Set(["zero"]));
    expect(new Set(origins(withoutSource(layouts.ffn_gate)))).toEqual(new Set(["noise"]));
  });
});

describe("checkInflatable", () => {
  test("accepts a target that holds the source", () => {
    expect(() => {
      checkInflatable(source, target);
    }).not.toThrow();
  });

  test.each([
    { name: "fewer KV heads", change: { kvHeads: 1, queryHeads: 4 }, subject: "kvHeads" },
    { name: "less width", change: { width: 32 }, subject: "width" },
    { name: "query heads that do not divide into groups", change: { queryHeads: 8 }, subject: "queryHeads" },
    { name: "narrower groups", change: { queryHeads: 3 }, subject: "query heads per KV head" },
    { name: "a head width between multiples", change: { headDim: 6 }, subject: "headDim" },
  ])("refuses $name", ({ change, subject }) => {
    expect(() => {
      checkInflatable(source, { ...target, ...change });
    }).toThrow(expect.objectContaining({ code: "AIR_ERR_SHAPE", message: expect.stringContaining(subject) }));
  });
});
