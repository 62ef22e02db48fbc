import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { loadAddon } from "../../lib/native/load.js";
import type {
  Batch,
  DecoderSpec,
  ForwardOutput,
  NativeKvArena,
  NativeModel,
  NativeRunner,
} from "../../lib/native/native.js";
import { expectNativeFailure as expectFailure } from "../support/expect-native-failure.js";
import { makeRawModel, type RawModel } from "../support/raw-model.js";

const addon = loadAddon();
const pageTokens = 16;

function makeArena(model: NativeModel, spec: DecoderSpec, pages = 9): NativeKvArena {
  return addon.createArena(model, {
    headMask: new Uint8Array(spec.layers * spec.kvHeads),
    pageTokens,
    pageCounts: [pages],
    keyType: "int8",
    valueType: "int8",
  });
}

/** One sequence of `count` tokens from position 0, in pages 1, 2, .. */
function makeBatch(count: number): Batch {
  const pages = Math.ceil(count / pageTokens);
  return {
    tokens: Int32Array.from({ length: count }, (_, i) => (7 * i) % 40),
    positions: Int32Array.from({ length: count }, (_, i) => i),
    slots: Int32Array.from({ length: count }, (_, i) => pageTokens + i),
    sequenceStarts: Int32Array.of(0, count),
    pageTables: Int32Array.from({ length: pages }, (_, i) => i + 1),
    contextLengths: Int32Array.of(count),
    logitRows: Int32Array.of(count - 1),
  };
}

describe("handles", () => {
  let raw: RawModel;
  let model: NativeModel;
  let arena: NativeKvArena;
  let runner: NativeRunner;
  let output: ForwardOutput;

  beforeAll(async () => {
    raw = makeRawModel(200); // deep, so that a forward lasts long enough to interfere with
    model = await addon.loadModel(raw.directory, raw.spec, { backend: "cpu" });
    arena = makeArena(model, raw.spec);
    runner = addon.createRunner(model, arena, { maxTokens: 128, threads: 2 });
    output = { logits: addon.allocateShared(40) };
  });
  afterAll(() => {
    runner.close();
    arena.close();
    model.close();
    raw.remove();
  });

  test("forward and forwardSync agree bit for bit", async () => {
    const sync = { logits: addon.allocateShared(40) };
    runner.forwardSync(makeBatch(100), sync);
    const stats = await runner.forward(makeBatch(100), output);
    expect(stats.computeMicros).toBeGreaterThan(0);
    expect(output.logits).toEqual(sync.logits);
    expect(output.logits.every(Number.isFinite)).toBe(true);
  });

  test("hidden states are what the output matrix makes logits of", async () => {
    const rows = Int32Array.of(10, 50, 99);
    const batch = { ...makeBatch(100), logitRows: rows };
    const logits = addon.allocateShared(3 * 40);
    await runner.forward(batch, { logits });
    const hidden = addon.allocateShared(3 * 64);
    const two = addon.allocateShared(2 * 40);
    await runner.forward(batch, { logits: two, logitCount: 2, hidden });
    expect([...two]).toEqual([...logits.subarray(0, 80)]);
    const { offsetBytes = 0 } = raw.directory.tensors.find(({ role }) => role === "output.weight") ?? {};
    const weights = new Float32Array(raw.bytes.buffer, offsetBytes, 40 * 64);
    for (let cell = 0; cell < logits.length; cell += 1) {
      const row = Math.floor(cell / 40);
      let sum = 0;
      for (let column = 0; column < 64; column += 1) {
        sum += (weights[(cell % 40) * 64 + column] ?? NaN) * (hidden[row * 64 + column] ?? NaN);
      }
      expect(logits[cell]).toBeCloseTo(sum, 4);
    }
  });

  test("a count of logit rows and states that do not fit are refused", async () => {
    const hidden = addon.allocateShared(64);
    for (const logitCount of [-1, 2, 0.5]) {
      const wrong = { ...output, logitCount };
      await expectFailure(() => runner.forward(makeBatch(3), wrong), "AIR_ERR_ARGUMENT", /logitCount/);
    }
    const short = { ...output, hidden: addon.allocateShared(63) };
    await expectFailure(() => runner.forward(makeBatch(3), short), "AIR_ERR_SHAPE", /hidden/);
    await expect(runner.forward(makeBatch(3), { ...output, hidden })).resolves.toBeDefined();
  });

  test("a second forward is refused with AIR_ERR_BUSY and the first one is not disturbed", async () => {
    const first = runner.forward(makeBatch(100), output);
    const other = { logits: addon.allocateShared(40) };
    await expectFailure(() => runner.forward(makeBatch(1), other), "AIR_ERR_BUSY", /one is in flight/);
    await expectFailure(() => runner.forwardSync(makeBatch(1), other), "AIR_ERR_BUSY", /one is in flight/);
    await expectFailure(
      () => {
        arena.copyPages(0, Int32Array.of(1), Int32Array.of(2));
      },
      "AIR_ERR_BUSY",
      /a forward is using it/,
    );
    await first;
    arena.copyPages(0, Int32Array.of(1), Int32Array.of(2));
  });

  test("the caller's index arrays are copied before forward returns", async () => {
    const expected = { logits: addon.allocateShared(40) };
    runner.forwardSync(makeBatch(100), expected);
    const batch = makeBatch(100);
    const promise = runner.forward(batch, output);
    batch.tokens.fill(-1);
    batch.slots.fill(1 << 30);
    await promise;
    expect(output.logits).toEqual(expected.logits);
  });

  test("cancel stops the forward in flight and nothing after it", async () => {
    const cancelled = runner.forward(makeBatch(100), output);
    runner.cancel();
    await expectFailure(() => cancelled, "AIR_ERR_CANCELLED", /cancelled/);
    runner.cancel();
    await expect(runner.forward(makeBatch(1), output)).resolves.toBeDefined();
  });

  test("refuses a detached buffer, wrong array types and outputs that do not fit", async () => {
    const detached = makeBatch(4);
    structuredClone(detached.slots, { transfer: [detached.slots.buffer as ArrayBuffer] });
    await expectFailure(() => runner.forward(detached, output), "AIR_ERR_SHAPE", /slots/);
    const wrong = { ...makeBatch(4), tokens: new Float32Array(4) } as unknown as Batch;
    await expectFailure(() => runner.forward(wrong, output), "AIR_ERR_ARGUMENT", /an Int32Array for tokens/);
    const unshared = { logits: new Float32Array(40) } as unknown as ForwardOutput;
    await expectFailure(
      () => runner.forward(makeBatch(4), unshared),
      "AIR_ERR_ARGUMENT",
      /SharedArrayBuffer/,
    );
    const short = { logits: addon.allocateShared(39) };
    await expectFailure(() => runner.forward(makeBatch(4), short), "AIR_ERR_SHAPE", /40 values or more/);
    await expectFailure(
      () => runner.forward(null as unknown as Batch, output),
      "AIR_ERR_ARGUMENT",
      /an object for batch/,
    );
  });

  test("refuses a copy of pages in a group that is no index, or outside the arena", async () => {
    const copy = (group: number, page: number) => () => {
      arena.copyPages(group, Int32Array.of(1), Int32Array.of(page));
    };
    await expectFailure(copy(NaN, 2), "AIR_ERR_ARGUMENT", /an integer from 0 .* for headGroup/);
    await expectFailure(copy(1, 2), "AIR_ERR_PAGE_RANGE", /a head group below 1/);
    await expectFailure(copy(0, 9), "AIR_ERR_PAGE_RANGE", /a page from 1 to 8 .* received 9/);
  });

  test("reads pages and writes them elsewhere, byte by byte; a forward holds both off", async () => {
    const bytesPerPage = arena.headGroups[0]?.bytesPerPage ?? 0;
    runner.forwardSync(makeBatch(100), output);
    const read = (...pages: number[]): Uint8Array => {
      const bytes = new Uint8Array(pages.length * bytesPerPage);
      arena.readPages(0, Int32Array.from(pages), bytes);
      return bytes;
    };
    const pages = read(1, 2);
    expect(pages.some((byte) => byte !== 0)).toBe(true);
    expect(read(2, 1).subarray(bytesPerPage)).toEqual(pages.subarray(0, bytesPerPage));
    arena.writePages(0, Int32Array.of(8, 7), pages);
    expect(read(8, 7)).toEqual(pages);
    const forward = runner.forward(makeBatch(100), output);
    await expectFailure(() => read(1), "AIR_ERR_BUSY", /readPages .* a forward is using it/);
    const write = (group: number, page: number, length: number) => () => {
      arena.writePages(group, Int32Array.of(page), new Uint8Array(length));
    };
    await expectFailure(write(0, 1, bytesPerPage), "AIR_ERR_BUSY", /writePages .* a forward is using it/);
    await forward;
    await expectFailure(write(0, 0, bytesPerPage), "AIR_ERR_PAGE_RANGE", /a page from 1 to 8 .* received 0/);
    await expectFailure(write(0, 9, bytesPerPage), "AIR_ERR_PAGE_RANGE", /writePages but received 9/);
    await expectFailure(write(1, 1, bytesPerPage), "AIR_ERR_PAGE_RANGE", /a head group below 1/);
    await expectFailure(write(0, 1, bytesPerPage - 1), "AIR_ERR_SHAPE", /bytes for writePages/);
    const floats = new Float32Array(bytesPerPage) as unknown as Uint8Array;
    await expectFailure(
      () => {
        arena.readPages(0, Int32Array.of(1), floats);
      },
      "AIR_ERR_ARGUMENT",
      /a Uint8Array for out/,
    );
  });

  test("getters that close the handles or start a forward are met by the checks, not by freed memory", async () => {
    const own = await addon.loadModel(raw.directory, raw.spec, { backend: "cpu" });
    const ownArena = makeArena(own, raw.spec);
    const ownRunner = addon.createRunner(own, ownArena, { maxTokens: 128, threads: 1 });
    let inner: Promise<unknown> = Promise.resolve();
    const starting = Object.defineProperty(makeBatch(4), "queryGates", {
      get: () => void (inner = ownRunner.forward(makeBatch(4), output)),
    });
    const other = { logits: addon.allocateShared(40) };
    await expectFailure(() => ownRunner.forward(starting, other), "AIR_ERR_BUSY", /one is in flight/);
    await inner;
    const closing = Object.defineProperty(makeBatch(4), "queryGates", {
      get: () => {
        ownRunner.close();
      },
    });
    await expectFailure(() => ownRunner.forward(closing, output), "AIR_ERR_CLOSED", /an open runner/);
    const closingArena = {
      get maxTokens() {
        ownArena.close();
        return 4;
      },
    };
    await expectFailure(
      () => addon.createRunner(own, ownArena, closingArena),
      "AIR_ERR_CLOSED",
      /an open arena/,
    );
    own.close();
  });

  test("refuses an accessor of one handle called on another", () => {
    const rawOf = (handle: unknown): object => (handle as { readonly raw: object }).raw;
    const prototype = Object.getPrototypeOf(rawOf(model)) as object;
    for (const handle of [rawOf(arena), rawOf(runner)]) {
      expect(() => Reflect.get(prototype, "conversions", handle) as unknown).toThrow(/a native model/);
    }
  });

  test("refuses page ids outside the arena before anything is written", async () => {
    const batch = { ...makeBatch(4), pageTables: Int32Array.of(9) };
    await expectFailure(
      () => runner.forward(batch, output),
      "AIR_ERR_PAGE_RANGE",
      /a page from 1 to 8 .* received 9/,
    );
  });

  test("refuses handles of another kind and another model's arena", async () => {
    const impostor = {} as unknown as NativeModel;
    await expectFailure(() => makeArena(impostor, raw.spec), "AIR_ERR_ARGUMENT", /a native model/);
    const swapped = arena as unknown as NativeModel;
    await expectFailure(() => makeArena(swapped, raw.spec), "AIR_ERR_ARGUMENT", /a native model/);
    const other = makeRawModel();
    const otherModel = await addon.loadModel(other.directory, other.spec, { backend: "cpu" });
    await expectFailure(
      () => addon.createRunner(otherModel, arena, { maxTokens: 1 }),
      "AIR_ERR_ARGUMENT",
      /an arena made for this model/,
    );
    otherModel.close();
    other.remove();
  });

  test("refuses arenas and runners out of range", async () => {
    const options = {
      headMask: new Uint8Array(200),
      pageTokens,
      pageCounts: [2],
      keyType: "int8",
      valueType: "f16",
    } as const;
    await expectFailure(
      () => addon.createArena(model, { ...options, pageTokens: 24 }),
      "AIR_ERR_ARGUMENT",
      /multiple of 16/,
    );
    await expectFailure(
      () => addon.createArena(model, { ...options, pageCounts: [] }),
      "AIR_ERR_ARGUMENT",
      /head groups/,
    );
    await expectFailure(
      () => addon.createArena(model, { ...options, pageCounts: [0] }),
      "AIR_ERR_ARGUMENT",
      /pageCounts/,
    );
    await expectFailure(
      () => addon.createArena(model, { ...options, headMask: new Uint8Array(3) }),
      "AIR_ERR_SHAPE",
      /200 values for headMask/,
    );
    await expectFailure(
      () => addon.createArena(model, { ...options, headMask: new Uint8Array(200).fill(1) }),
      "AIR_ERR_ARGUMENT",
      /head group below 1/,
    );
    await expectFailure(
      () => addon.createArena(model, { ...options, pageCounts: [2 ** 26] }),
      "AIR_ERR_OUT_OF_MEMORY",
      /KV pages/,
    );
    await expectFailure(
      () => addon.createRunner(model, arena, { maxTokens: 0 }),
      "AIR_ERR_ARGUMENT",
      /maxTokens/,
    );
    await expectFailure(
      () => addon.createRunner(model, arena, { maxTokens: 1, threads: 0 }),
      "AIR_ERR_ARGUMENT",
      /threads/,
    );
  });

  test("close during a forward rejects it; later calls throw AIR_ERR_CLOSED; close is idempotent", async () => {
    const closing = addon.createRunner(model, arena, { maxTokens: 128, threads: 2 });
    const inFlight = closing.forward(makeBatch(100), output);
    closing.close();
    closing.close();
    await expectFailure(() => inFlight, "AIR_ERR_CANCELLED", /cancelled/);
    await expectFailure(() => closing.forward(makeBatch(1), output), "AIR_ERR_CLOSED", /an open runner/);
    await expectFailure(() => closing.forwardSync(makeBatch(1), output), "AIR_ERR_CLOSED", /an open runner/);
    await expectFailure(
      () => {
        closing.cancel();
      },
      "AIR_ERR_CLOSED",
      /an open runner/,
    );
  });

  test("a runner outlives the close of its model and arena", async () => {
    const own = makeRawModel();
    const ownModel = await addon.loadModel(own.directory, own.spec, { backend: "cpu" });
    const ownArena = makeArena(ownModel, own.spec);
    const ownRunner = addon.createRunner(ownModel, ownArena, { maxTokens: 16 });
    ownModel.close();
    ownArena.close();
    await expect(ownRunner.forward(makeBatch(4), output)).resolves.toBeDefined();
    await expectFailure(() => makeArena(ownModel, own.spec), "AIR_ERR_CLOSED", /an open model/);
    await expectFailure(
      () => addon.createRunner(model, ownArena, { maxTokens: 1 }),
      "AIR_ERR_CLOSED",
      /an open arena/,
    );
    await expectFailure(() => ownModel.weightBytes, "AIR_ERR_CLOSED", /an open model/);
    ownRunner.close();
    own.remove();
  });
});

describe("the process", () => {
  const script = fileURLToPath(new URL("../support/exit-mid-forward.ts", import.meta.url));

  test.each(["exit", "worker", "worker-sync", "gc"])(
    "survives leaving in the middle of a forward: %s",
    (mode) => {
      const { status, signal, stdout, stderr } = spawnSync(
        process.execPath,
        ["--import", "tsx", script, mode],
        {
          encoding: "utf8",
        },
      );
      expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: "" });
      expect(stdout).toContain("left");
    },
  );
});
