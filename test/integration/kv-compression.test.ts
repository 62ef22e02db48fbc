import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { describeModel } from "../../lib/model/architecture.js";
import { readGguf } from "../../lib/model/gguf.js";
import { loadAddon } from "../../lib/native/load.js";
import type { Batch, CreateArenaOptions, NativeModel, SharedFloats } from "../../lib/native/native.js";
import { expectNativeFailure as expectFailure } from "../support/expect-native-failure.js";

const addon = loadAddon();
const file = fileURLToPath(new URL("../../models/air-tiny-large-q4_0.gguf", import.meta.url));
const pageTokens = 16;
const count = 40;

let model: NativeModel;
let vocabSize: number;
let heads: number;
beforeAll(async () => {
  const { directory, spec } = await describeModel(await readGguf(file));
  model = await addon.loadModel(directory, spec, { backend: "cpu" });
  vocabSize = spec.vocabSize;
  heads = spec.layers * spec.kvHeads;
});
afterAll(() => {
  model.close();
});

const batch: Batch = {
  tokens: Int32Array.from({ length: count }, (_, i) => 3 + 11 * i),
  positions: Int32Array.from({ length: count }, (_, i) => i),
  slots: Int32Array.from({ length: count }, (_, i) => pageTokens + i),
  sequenceStarts: Int32Array.of(0, count),
  pageTables: Int32Array.of(1, 2, 3, 0),
  contextLengths: Int32Array.of(count),
  logitRows: Int32Array.of(count - 1),
};

interface Step {
  readonly logits: Float32Array;
  readonly mass: Float32Array;
  readonly bytesPerPage: number;
}

async function run(options: Partial<CreateArenaOptions>, step: Partial<Batch> = {}): Promise<Step> {
  const arena = addon.createArena(model, {
    headMask: new Uint8Array(heads),
    pageTokens,
    pageCounts: [4],
    keyType: "int8",
    valueType: "int8",
    ...options,
  });
  const runner = addon.createRunner(model, arena, { maxTokens: count, threads: 2 });
  try {
    const logits = addon.allocateShared(vocabSize);
    const pageMass = addon.allocateShared(batch.pageTables.length);
    await runner.forward({ ...batch, ...step }, { logits, pageMass });
    const [group] = arena.headGroups;
    return {
      logits: Float32Array.from(logits),
      mass: Float32Array.from(pageMass),
      bytesPerPage: group?.bytesPerPage ?? 0,
    };
  } finally {
    runner.close();
    arena.close();
  }
}

/** Root mean square of the difference over that of the first. */
function relativeError(exact: Float32Array, other: Float32Array): number {
  const error = exact.reduce((sum, value, i) => sum + (value - (other[i] ?? NaN)) ** 2, 0);
  return Math.sqrt(error / exact.reduce((sum, value) => sum + value ** 2, 0));
}

describe("int4 pages", () => {
  test("take about half of int8 and compute nearly the same", async () => {
    const [exact, int8, int4] = await Promise.all([
      run({ keyType: "f16", valueType: "f16" }),
      run({}),
      run({ keyType: "int4", valueType: "int4" }),
    ]);
    expect(int4.bytesPerPage / int8.bytesPerPage).toBeLessThan(0.56);
    const error = relativeError(exact.logits, int4.logits);
    expect(error).toBeGreaterThan(relativeError(exact.logits, int8.logits));
    expect(error).toBeLessThan(0.25);
  });

  test("can be keys or values alone", async () => {
    const [exact, keys, values] = await Promise.all([
      run({ keyType: "f16", valueType: "f16" }),
      run({ keyType: "int4", valueType: "f16" }),
      run({ keyType: "f16", valueType: "int4" }),
    ]);
    expect(keys.bytesPerPage).toBe(values.bytesPerPage);
    expect(relativeError(exact.logits, keys.logits)).toBeLessThan(0.25);
    expect(relativeError(exact.logits, values.logits)).toBeLessThan(0.25);
  });

  test("refuses other types", async () => {
    await expectFailure(() => run({ keyType: "int2" as "int4" }), "AIR_ERR_ARGUMENT", /keyType.*"int2"/u);
  });
});

describe("rotateKeys", () => {
  test("computes the same model from other keys", async () => {
    const types = { keyType: "f16", valueType: "f16" } as const;
    const [plain, rotated] = await Promise.all([run(types), run({ ...types, rotateKeys: true })]);
    expect(rotated.logits).not.toEqual(plain.logits);
    expect(relativeError(plain.logits, rotated.logits)).toBeLessThan(2e-2);
  });

  test("refuses what is no boolean", async () => {
    await expectFailure(
      () => run({ rotateKeys: 1 as unknown as boolean }),
      "AIR_ERR_ARGUMENT",
      /rotateKeys/u,
    );
  });
});

describe("pageMass", () => {
  test("sums to 1 over the pages that are read", async () => {
    const { mass } = await run({});
    expect(mass.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5);
    expect(mass[3]).toBe(0);
    const windowed = await run({}, { windowTokens: Int32Array.of(10) });
    expect(windowed.mass[0]).toBe(0);
    expect((windowed.mass[1] ?? 0) + (windowed.mass[2] ?? 0)).toBeCloseTo(1, 5);
  });

  test("needs shared memory of the page tables' length", async () => {
    const arena = addon.createArena(model, {
      headMask: new Uint8Array(heads),
      pageTokens,
      pageCounts: [4],
      keyType: "int8",
      valueType: "int8",
    });
    const runner = addon.createRunner(model, arena, { maxTokens: count });
    const logits = addon.allocateShared(vocabSize);
    const forward = (pageMass: Float32Array) =>
      runner.forward(batch, { logits, pageMass: pageMass as SharedFloats });
    await expectFailure(() => forward(addon.allocateShared(3)), "AIR_ERR_SHAPE", /pageMass/u);
    await expectFailure(() => forward(new Float32Array(4)), "AIR_ERR_ARGUMENT", /pageMass/u);
    runner.close();
    arena.close();
  });
});

describe("windowTokens and evictedTokens", () => {
  const bad: readonly (readonly [string, Partial<Batch>])[] = [
    ["a negative window", { windowTokens: Int32Array.of(-1) }],
    ["dropped tokens that are no whole pages", { evictedTokens: Int32Array.of(5) }],
    ["more dropped tokens than the position", { evictedTokens: Int32Array.of(0x7ffffff0) }],
    ["more sinks than entries", { sinkTokens: Int32Array.of(count + 1) }],
  ];
  test.each(bad)("refuses %s", async (_name, step) => {
    await expectFailure(() => run({}, step), "AIR_ERR_PAGE_RANGE", /expected /u);
  });
});
