import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { describeModel, type ModelDescription } from "../../lib/model/architecture.js";
import { readGguf } from "../../lib/model/gguf.js";
import { loadAddon } from "../../lib/native/load.js";
import type {
  Activity,
  Batch,
  CreateArenaOptions,
  NativeModel,
  NativeRunner,
  Pruning,
} from "../../lib/native/native.js";
import { expectNativeFailure as expectFailure } from "../support/expect-native-failure.js";

const addon = loadAddon();
const file = fileURLToPath(new URL("../../models/air-tiny-large-q4_0.gguf", import.meta.url));
const pageTokens = 16;
const count = 40;

let description: ModelDescription;
let whole: NativeModel;
beforeAll(async () => {
  description = await describeModel(await readGguf(file));
  whole = await load();
});
afterAll(() => {
  whole.close();
});

function load(pruning?: Pruning): Promise<NativeModel> {
  const { directory, spec } = description;
  return addon.loadModel(directory, spec, { backend: "cpu", ...(pruning !== undefined && { pruning }) });
}

/** Every query head but one KV head's of each layer, and of another KV head all but one; of layer 1 none at all. */
function someHeads(): Uint8Array {
  const { layers, queryHeads, kvHeads } = description.spec;
  const share = queryHeads / kvHeads;
  return Uint8Array.from({ length: layers * queryHeads }, (_, index) => {
    const layer = Math.floor(index / queryHeads);
    const kvHead = Math.floor((index % queryHeads) / share);
    if (layer === 1 || kvHead === layer % kvHeads) return 0;
    return kvHead === (layer + 1) % kvHeads && index % share === 0 && share > 1 ? 0 : 1;
  });
}

/** 255 where all query heads of a KV head are left out. */
function maskOf(heads: Uint8Array): Uint8Array {
  const { layers, queryHeads, kvHeads } = description.spec;
  const share = queryHeads / kvHeads;
  return Uint8Array.from({ length: layers * kvHeads }, (_, index) =>
    heads.subarray(index * share, (index + 1) * share).some((kept) => kept === 1) ? 0 : 255,
  );
}

function arenaOptions(headMask: Uint8Array): CreateArenaOptions {
  return { headMask, pageTokens, pageCounts: [4], keyType: "int8", valueType: "int8" };
}

const batch: Batch = {
  tokens: Int32Array.from({ length: count }, (_, i) => 3 + 11 * i),
  positions: Int32Array.from({ length: count }, (_, i) => i),
  slots: Int32Array.from({ length: count }, (_, i) => pageTokens + i),
  sequenceStarts: Int32Array.of(0, count),
  pageTables: Int32Array.of(1, 2, 3),
  contextLengths: Int32Array.of(count),
  logitRows: Int32Array.from({ length: count }, (_, i) => i),
};

async function withRunner<T>(
  model: NativeModel,
  headMask: Uint8Array,
  action: (runner: NativeRunner) => Promise<T>,
): Promise<T> {
  const arena = addon.createArena(model, arenaOptions(headMask));
  const runner = addon.createRunner(model, arena, { maxTokens: count, threads: 2 });
  try {
    return await action(runner);
  } finally {
    runner.close();
    arena.close();
  }
}

/** Logits of every token. */
function logitsOf(model: NativeModel, headMask: Uint8Array, queryGates?: Uint8Array): Promise<Float32Array> {
  return withRunner(model, headMask, async (runner) => {
    const logits = addon.allocateShared(count * description.spec.vocabSize);
    await runner.forward({ ...batch, ...(queryGates !== undefined && { queryGates }) }, { logits });
    return Float32Array.from(logits);
  });
}

const openMask = (): Uint8Array => new Uint8Array(description.spec.layers * description.spec.kvHeads);

describe("a bundled model without some of its heads", () => {
  test("has the logits of the whole one with their gates closed, bit for bit, and fewer bytes", async () => {
    const queryHeads = someHeads();
    const pruned = await load({ queryHeads });
    try {
      const gated = await logitsOf(whole, openMask(), queryHeads);
      expect(await logitsOf(pruned, maskOf(queryHeads))).toEqual(gated);
      expect(await logitsOf(pruned, maskOf(queryHeads), queryHeads)).toEqual(gated);
      expect(gated).not.toEqual(await logitsOf(whole, openMask()));
      expect(pruned.weightBytes).toBeLessThan(whole.weightBytes);
      expect(pruned.mappedBytes).toBe(whole.mappedBytes);
    } finally {
      pruned.close();
    }
  });

  test("gets no pages for what it has not", async () => {
    const queryHeads = someHeads();
    const pruned = await load({ queryHeads });
    try {
      await expectFailure(
        () => addon.createArena(pruned, arenaOptions(openMask())),
        "AIR_ERR_ARGUMENT",
        /^expected 255 \(dropped\) for headMask of layer 0, KV head 0, which is pruned, but received 0$/,
      );
    } finally {
      pruned.close();
    }
  });
});

describe("a bundled model without some of its channels", () => {
  test("takes the bytes of the channels that are left", async () => {
    const { layers, feedForwardLength } = description.spec;
    const groups = Math.ceil(feedForwardLength / 32);
    const channelGroups = Uint8Array.from({ length: layers * groups }, (_, i) =>
      (i % groups) % 2 === 0 ? 1 : 0,
    );
    const half = await load({ channelGroups });
    const all = await load({ channelGroups: new Uint8Array(layers * groups).fill(1) });
    try {
      expect(all.weightBytes).toBe(whole.weightBytes);
      // Every channel has a row of gate, a row of up and a column of down, at 4.5 bits a weight.
      const saved = layers * Math.floor(groups / 2) * 32 * 3 * description.spec.embeddingLength * (4.5 / 8);
      expect((whole.weightBytes - half.weightBytes) / saved).toBeCloseTo(1, 1);
      const logits = await logitsOf(half, openMask());
      expect(logits.every(Number.isFinite)).toBe(true);
      expect(await logitsOf(all, openMask())).toEqual(await logitsOf(whole, openMask()));
      expect(logits).not.toEqual(await logitsOf(whole, openMask()));
    } finally {
      half.close();
      all.close();
    }
  });
});

describe("pruning that does not fit", () => {
  test("is refused", async () => {
    const { layers, queryHeads } = description.spec;
    const heads = new Uint8Array(layers * queryHeads).fill(1);
    await expectFailure(
      () => load({ queryHeads: heads.subarray(1) }),
      "AIR_ERR_SHAPE",
      /^expected layers \* queryHeads = \d+ values for pruning\.queryHeads but received \d+$/,
    );
    await expectFailure(
      () => load({ channelGroups: new Uint8Array(heads.length) }),
      "AIR_ERR_SHAPE",
      /for pruning\.channelGroups/,
    );
    await expectFailure(
      () => load({ queryHeads: heads.map((_, index) => (index === 3 ? 7 : 1)) }),
      "AIR_ERR_ARGUMENT",
      /^expected 0 \(left out\) or 1 \(kept\) for pruning\.queryHeads but received 7$/,
    );
    const groups = Math.ceil(description.spec.feedForwardLength / 32);
    await expectFailure(
      () =>
        load({ channelGroups: Uint8Array.from({ length: layers * groups }, (_, i) => (i < groups ? 0 : 1)) }),
      "AIR_ERR_ARGUMENT",
      /^expected a channel group or more for pruning\.channelGroups of layer 0 but received none$/,
    );
    await expectFailure(
      () => load({ queryHeads: [1] } as unknown as Pruning),
      "AIR_ERR_ARGUMENT",
      /a Uint8Array for queryHeads/,
    );
    await expectFailure(() => load(3 as unknown as Pruning), "AIR_ERR_ARGUMENT", /an object for pruning/);
  });
});

describe("activity", () => {
  const makeActivity = (): Activity => {
    const { layers, queryHeads, headDim, feedForwardLength } = description.spec;
    return {
      attendedSquares: addon.allocateShared(layers * queryHeads * headDim),
      hiddenSquares: addon.allocateShared(layers * feedForwardLength),
    };
  };
  const makeLogits = () => addon.allocateShared(count * description.spec.vocabSize);

  test("is added up, by forward and forwardSync alike, and leaves the logits alone", async () => {
    const plain = await logitsOf(whole, openMask());
    await withRunner(whole, openMask(), async (runner) => {
      const output = { logits: makeLogits(), activity: makeActivity() };
      await runner.forward(batch, output);
      expect(Float32Array.from(output.logits)).toEqual(plain);
      const once = output.activity.hiddenSquares.slice();
      expect(once.every((value) => value > 0)).toBe(true);
      expect(output.activity.attendedSquares.every((value) => value > 0)).toBe(true);
      runner.forwardSync(batch, output);
      expect(output.activity.hiddenSquares).toEqual(once.map((value) => 2 * value));
    });
  });

  test("is refused where it cannot be computed or does not fit", async () => {
    const activity = makeActivity();
    await withRunner(whole, openMask(), async (runner) => {
      const logits = makeLogits();
      await expectFailure(
        () => runner.forward({ ...batch, logitRows: Int32Array.of(count - 1) }, { logits, activity }),
        "AIR_ERR_ARGUMENT",
        /^expected logitRows of every token \(40\) for activity but received 1$/,
      );
      const short = { ...activity, hiddenSquares: activity.hiddenSquares.subarray(1) };
      await expectFailure(
        () => runner.forward(batch, { logits, activity: short }),
        "AIR_ERR_SHAPE",
        /^expected layers \* feedForwardLength = \d+ values or more for output\.activity\.hiddenSquares/,
      );
      const unshared = { ...activity, attendedSquares: new Float32Array(activity.attendedSquares.length) };
      await expectFailure(
        () => runner.forward(batch, { logits, activity: unshared as unknown as Activity }),
        "AIR_ERR_ARGUMENT",
        /SharedArrayBuffer.* for output\.activity\.attendedSquares/,
      );
      await expectFailure(
        () => runner.forwardSync(batch, { logits, activity: {} as unknown as Activity }),
        "AIR_ERR_ARGUMENT",
        /a Float32Array for output\.activity\.attendedSquares but received undefined/,
      );
    });
    const queryHeads = someHeads();
    const pruned = await load({ queryHeads });
    try {
      await withRunner(pruned, maskOf(queryHeads), (runner) =>
        expectFailure(
          () => runner.forward(batch, { logits: makeLogits(), activity }),
          "AIR_ERR_ARGUMENT",
          /^expected a model without pruning for activity/,
        ),
      );
    } finally {
      pruned.close();
    }
    expect(activity.hiddenSquares.every((value) => value === 0)).toBe(true);
  });
});

describe("columnSquares", () => {
  test("sums the squares of the file's columns", () => {
    const { embeddingLength, feedForwardLength } = description.spec;
    const squares = whole.columnSquares("layers.0.feed_forward.down.weight");
    expect(squares).toBeInstanceOf(Float32Array);
    expect(squares.length).toBe(feedForwardLength);
    expect(squares.every((value) => value > 0 && value < embeddingLength)).toBe(true);
    expect(whole.columnSquares("layers.0.feed_forward.down.weight")).toEqual(squares);
  });

  test("refuses roles that no matrix has, and a closed model", async () => {
    for (const role of ["layers.99.attention.o.weight", "output_norm.weight", ""]) {
      await expectFailure(
        () => whole.columnSquares(role),
        "AIR_ERR_ARGUMENT",
        /^expected the role of a matrix for role but received "/,
      );
    }
    await expectFailure(
      () => whole.columnSquares(undefined as unknown as string),
      "AIR_ERR_ARGUMENT",
      /a string for role but received undefined/,
    );
    const other = await load();
    other.close();
    await expectFailure(
      () => other.columnSquares("token_embedding.weight"),
      "AIR_ERR_CLOSED",
      /expected an open model/,
    );
  });
});
