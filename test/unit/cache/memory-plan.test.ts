import { describe, expect, test } from "vitest";

import { activationBytes } from "../../../lib/cache/buffer-memory.js";
import { kvMemory, memberBytes } from "../../../lib/cache/kv-memory.js";
import { memoryDemand, type MemoryPlanInput, planMemory } from "../../../lib/cache/memory-plan.js";
import type { MemorySettings, PlannedModel } from "../../../lib/cache/planned-model.js";
import { packedMatrixBytes, weightMemory } from "../../../lib/cache/weight-memory.js";

const gib = 2 ** 30;
const [width, layers, queryHeads, kvHeads, headDim, channels, vocab] = [256, 2, 8, 4, 32, 512, 4096];

function matrix(role: string, rows: number, cols: number, type = "Q4_0") {
  return { role: `${role}.weight`, type, shape: [rows, cols], lengthBytes: (rows * cols * 18) / 32 };
}
function vector(role: string, length: number) {
  return { role, type: "F32", shape: [length], lengthBytes: 4 * length };
}

const model: PlannedModel = {
  layers,
  embeddingLength: width,
  queryHeads,
  kvHeads,
  headDim,
  feedForwardLength: channels,
  vocabSize: vocab,
  rope: { dimensions: headDim },
  tiedOutput: false,
  tensors: [
    matrix("token_embedding", vocab, width),
    matrix("output", vocab, width),
    vector("output_norm.weight", width),
    ...[0, 1].flatMap((layer) => [
      vector(`layers.${layer}.attention_norm.weight`, width),
      matrix(`layers.${layer}.attention.q`, queryHeads * headDim, width),
      vector(`layers.${layer}.attention.q.bias`, queryHeads * headDim),
      matrix(`layers.${layer}.attention.k`, kvHeads * headDim, width),
      matrix(`layers.${layer}.attention.v`, kvHeads * headDim, width),
      matrix(`layers.${layer}.attention.o`, width, queryHeads * headDim),
      matrix(`layers.${layer}.feed_forward.gate`, channels, width),
      matrix(`layers.${layer}.feed_forward.up`, channels, width),
      matrix(`layers.${layer}.feed_forward.down`, width, channels),
    ]),
  ],
};

const settings: MemorySettings = {
  contextTokens: 4096,
  sequences: 1,
  keyType: "int8",
  valueType: "int8",
  pageTokens: 32,
  maxBatchTokens: 512,
  threads: 2,
};
const input: MemoryPlanInput = { model, settings, availableBytes: 8 * gib };

describe("packedMatrixBytes", () => {
  test.each([
    ["Q4_0", 32, 64, 2 * (64 + 64 * 8 + 0)], // 2 groups of 16 scales, in 64 bytes; nibbles
    ["Q4_K", 32, 256, 2 * (256 + 256 + 256 * 8)], // scales and mins
    ["Q8_0", 32, 64, 2 * (64 + 64 * 16)],
    ["Q6_K", 32, 256, 2 * (512 + 256 * 16)], // a scale per 16
    ["F16", 32, 64, 2 * (64 * 32)],
    ["F32", 32, 64, 2 * (64 * 64)],
  ])("counts tiles of 16 rows of %s, on whole pages", (type, rows, cols, bytes) => {
    expect(packedMatrixBytes(type, rows, cols)).toBe(Math.ceil(bytes / 4096) * 4096);
    expect(packedMatrixBytes(type, rows - 15, cols)).toBe(packedMatrixBytes(type, rows, cols));
    expect(packedMatrixBytes(type, 1024 * rows, cols)).toBe(1024 * bytes);
  });

  test("takes nothing for a matrix of which nothing is left", () => {
    expect(packedMatrixBytes("Q4_0", 0, 256)).toBe(0);
    expect(packedMatrixBytes("Q4_0", 256, 0)).toBe(0);
  });

  test("refuses a type that is not packed", () => {
    expect(() => packedMatrixBytes("IQ1_S", 32, 256)).toThrow('but received "IQ1_S"');
  });
});

describe("weightMemory", () => {
  test("reads the embedding in place, and packs it too where it is the output", () => {
    const { packedBytes, embeddingBytes, vectorBytes } = weightMemory(model);
    expect(embeddingBytes).toBe((vocab * width * 18) / 32);
    expect(vectorBytes).toBe(4 * (width + 2 * (width + queryHeads * headDim)));
    const tensors = model.tensors.filter(({ role }) => role !== "output.weight");
    const tied = weightMemory({ ...model, tiedOutput: true, tensors });
    expect(tied).toEqual({ packedBytes, embeddingBytes, vectorBytes });
    const unpacked = weightMemory({ ...model, tensors });
    expect(packedBytes - unpacked.packedBytes).toBe(packedMatrixBytes("Q4_0", vocab, width));
  });

  test("leaves out pruned heads and channels, and KV heads without query heads", () => {
    const whole = weightMemory(model);
    const heads = new Uint8Array(layers * queryHeads).fill(1);
    heads.set([0, 0, 0], 0); // both query heads of KV head 0, one of KV head 1
    const channelGroups = new Uint8Array((layers * channels) / 32).fill(1);
    channelGroups.fill(0, 16, 24); // half of layer 1
    const pruned = weightMemory(model, { queryHeads: heads, channelGroups });
    const bytes = (rows: number, cols: number) => packedMatrixBytes("Q4_0", rows, cols);
    const saved = (full: number, kept: number) => full - kept;
    expect(saved(whole.packedBytes, pruned.packedBytes)).toBe(
      saved(bytes(256, width), bytes(160, width)) + // q
        2 * saved(bytes(128, width), bytes(96, width)) + // k, v
        saved(bytes(width, 256), bytes(width, 160)) + // o
        2 * saved(bytes(512, width), bytes(256, width)) + // gate, up
        saved(bytes(width, 512), bytes(width, 256)), // down
    );
    expect(saved(whole.vectorBytes, pruned.vectorBytes)).toBe(3 * headDim * 4); // biases of q
  });

  test("keeps a partial last group of channels", () => {
    const odd = { ...model, feedForwardLength: 40, tensors: [matrix("layers.0.feed_forward.up", 40, width)] };
    const kept = weightMemory(odd, { channelGroups: Uint8Array.of(0, 1, 1, 1) });
    expect(kept.packedBytes).toBe(packedMatrixBytes("Q4_0", 8, width));
  });
});

describe("memberBytes", () => {
  test("counts data and scales of keys and values, heads padded to 32 dims, on 64 bytes", () => {
    expect(memberBytes(32, 64, "int8", "int8")).toBe(32 * 2 * (64 + 2));
    expect(memberBytes(32, 40, "int8", "int8")).toBe(32 * 2 * (64 + 2));
    expect(memberBytes(32, 64, "f16", "f16")).toBe(32 * 2 * 128);
    expect(memberBytes(32, 64, "int4", "int4")).toBe(32 * 2 * (32 + 2 * 2));
    expect(memberBytes(32, 64, "int8", "int4")).toBe(32 * (64 + 2 + 32 + 4));
    expect(memberBytes(16, 32, "int8", "int8") % 64).toBe(0);
  });
});

describe("kvMemory", () => {
  const demand = { ...settings, batchTokens: 512 };
  const perPage = layers * kvHeads * memberBytes(32, headDim, "int8", "int8");

  test("holds every sequence's context in whole pages, and the null page", () => {
    const [group, ...others] = kvMemory(model, { ...demand, contextTokens: 100, sequences: 3 });
    expect(others).toEqual([]);
    expect(group).toEqual({
      kind: "full",
      members: layers * kvHeads,
      pageBytes: perPage,
      pages: 3 * 4 + 1,
      bytes: 13 * perPage,
    });
  });

  test("shares the tokens that it is told to", () => {
    expect(kvMemory(model, { ...demand, kvTokens: 130 })[0]?.pages).toBe(6);
  });

  test("bounds streaming heads by sinks, window, tokens to take back and batch, and one page", () => {
    const mask = Uint8Array.of(0, 1, 1, 255, 0, 0, 1, 255);
    const windowed = { ...demand, streamWindow: { windowTokens: 256, sinkTokens: 4 }, headMask: mask };
    const groups = kvMemory(model, { ...windowed, sequences: 2 });
    expect(groups.map(({ kind, members, pages }) => ({ kind, members, pages }))).toEqual([
      { kind: "full", members: 3, pages: 2 * 128 + 1 },
      { kind: "stream", members: 3, pages: 2 * (1 + Math.ceil((256 + 16 + 128) / 32) + 1) + 1 },
    ]);
    // A text that is shorter than the window takes no more than it has.
    expect(kvMemory(model, { ...windowed, contextTokens: 64 })[1]?.pages).toBe(3);
  });

  test("lets every head stream with a window and no mask, and none of them without a window", () => {
    const all = { ...demand, window: { windowTokens: 256, sinkTokens: 4 } };
    expect(kvMemory(model, all).map(({ kind }) => kind)).toEqual(["stream"]);
    const mask = new Uint8Array(layers * kvHeads).fill(1);
    expect(kvMemory(model, { ...demand, headMask: mask })[0]?.members).toBe(undefined);
  });
});

describe("activationBytes", () => {
  const demand = {
    maxBatchTokens: 512,
    batchTokens: 512,
    logitRows: 1,
    threads: 1,
    headGroups: 1,
    hasSinks: false,
    quantizesQueries: true,
  };

  test("counts the queries of sinks only where there are sinks", () => {
    const rows = 512 * queryHeads * headDim;
    const queries = rows * 4 + rows + (rows / 32) * 4 + (rows / 16) * 4;
    const angles = 2 * 512 * (headDim / 2) * 4;
    const more = activationBytes(model, { ...demand, hasSinks: true }) - activationBytes(model, demand);
    expect(Math.abs(more - queries - angles)).toBeLessThan(8 * 4096);
  });

  test("counts what a short context does not touch only where huge pages do", () => {
    const short = activationBytes(model, { ...demand, batchTokens: 64 });
    expect(short).toBeLessThan(activationBytes(model, demand) / 4);
    const wide = { ...model, feedForwardLength: 65536 };
    const whole = activationBytes(wide, demand);
    const part = activationBytes(wide, { ...demand, batchTokens: 64 });
    expect(part).toBeGreaterThan((whole * 64) / 512);
    expect(part).toBeLessThan(whole);
  });
});

describe("planMemory", () => {
  test("adds up, with a fifth of headroom on what the system cannot drop", () => {
    const plan = planMemory(input);
    const { weightBytes, embeddingBytes, kvBytes, bufferBytes, processBytes, totalBytes } = plan;
    expect(totalBytes).toBe(weightBytes + embeddingBytes + kvBytes + bufferBytes + processBytes);
    expect(plan.neededBytes).toBe(totalBytes - embeddingBytes + plan.headroomBytes);
    expect(plan.headroomBytes).toBe(Math.ceil((totalBytes - embeddingBytes) * 0.2));
    expect(plan.kvBytesPerToken).toBe(layers * kvHeads * 2 * (headDim + 2));
    expect(plan).toMatchObject({ fits: true, availableBytes: 8 * gib, suggestions: [] });
  });

  test("finds the largest context exactly", () => {
    const needed = (contextTokens: number) =>
      memoryDemand({ ...input, settings: { ...settings, contextTokens } }).neededBytes;
    const availableBytes = needed(3000);
    const { maxContext, fits } = planMemory({ ...input, availableBytes });
    expect(fits).toBe(false);
    expect(needed(maxContext)).toBeLessThanOrEqual(availableBytes);
    expect(needed(maxContext + 1)).toBeGreaterThan(availableBytes);
    expect(maxContext).toBe(3008); // the rest of the page
    const asked = { ...settings, contextTokens: maxContext };
    expect(planMemory({ ...input, availableBytes, settings: asked }).fits).toBe(true);
  });

  test("knows that nothing fits nowhere, and that a window's context has no end", () => {
    expect(planMemory({ ...input, availableBytes: 1000 })).toMatchObject({ fits: false, maxContext: 0 });
    const windowed = { ...settings, window: { windowTokens: 256, sinkTokens: 4 } };
    expect(planMemory({ ...input, settings: windowed }).maxContext).toBe(2 ** 24);
  });

  test("does not need what is mapped from a pack cache, but counts it", () => {
    const packed = planMemory(input);
    const mapped = planMemory({ ...input, weightsAreMapped: true });
    expect(mapped.totalBytes).toBe(packed.totalBytes);
    expect(packed.neededBytes - mapped.neededBytes).toBeCloseTo(1.2 * mapped.mappedWeightBytes, -1);
    expect(mapped.mappedWeightBytes).toBe(weightMemory(model).packedBytes);
  });

  test("adds a draft model with pages for as many tokens, and counts the process once", () => {
    const alone = planMemory(input);
    const plan = planMemory({ ...input, draft: { model, maxBatchTokens: 128 } });
    expect(plan.draft?.kvBytes).toBe(alone.kvBytes);
    expect(plan.draft?.bufferBytes).toBeLessThan(alone.bufferBytes);
    const models = [alone, plan.draft].map((m) =>
      m === undefined ? 0 : m.weightBytes + m.embeddingBytes + m.kvBytes + m.bufferBytes,
    );
    expect(plan.totalBytes).toBe((models[0] ?? 0) + (models[1] ?? 0) + plan.processBytes);
    expect(plan.processBytes - alone.processBytes).toBe(vocab * 1024); // its tokenizer
  });
});

describe("suggestions", () => {
  const long = { ...settings, contextTokens: 1 << 20, sequences: 2 };
  const { neededBytes } = memoryDemand({ model, settings: long });

  test("name what suffices alone first, with what it saves", () => {
    const { suggestions } = planMemory({ ...input, settings: long, availableBytes: neededBytes - 1 });
    expect(suggestions.map(({ change }) => change)).toEqual([
      ...["context", "kv-type", "window", "heads", "batch", "sequences"],
    ]);
    for (const { savedBytes, fits } of suggestions) {
      expect(savedBytes).toBeGreaterThan(0);
      expect(fits).toBe(true);
    }
  });

  test("are checked against what is available, and ordered by what they save where none suffices", () => {
    const availableBytes = neededBytes * 0.55;
    const { suggestions } = planMemory({ ...input, settings: long, availableBytes });
    const fitting = suggestions.filter(({ fits }) => fits).map(({ change }) => change);
    expect(fitting).toEqual(["context", "window", "heads", "sequences"]);
    expect(suggestions.slice(fitting.length).map(({ change }) => change)).toEqual(["kv-type", "batch"]);
    for (const { change, savedBytes, fits } of suggestions) {
      expect(neededBytes - savedBytes <= availableBytes, change).toBe(fits);
    }
  });

  test("leave out what is so already or saves nothing", () => {
    const frugal: MemorySettings = {
      ...settings,
      ...{ contextTokens: 256, keyType: "int4", valueType: "int4", maxBatchTokens: 64 },
      ...{ window: { windowTokens: 64, sinkTokens: 4 } },
    };
    expect(planMemory({ ...input, settings: frugal, availableBytes: 1000 }).suggestions).toEqual([]);
  });
});
