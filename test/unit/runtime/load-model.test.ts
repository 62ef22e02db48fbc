import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { weightMemory } from "../../../lib/cache/weight-memory.js";
import { AirCapacityError, AirNativeError } from "../../../lib/errors/air-error.js";
import { loadModel, planModel } from "../../../lib/index.js";
import { describeModel } from "../../../lib/model/architecture.js";
import { readGguf } from "../../../lib/model/gguf.js";
import type {
  CreateArenaOptions,
  CreateRunnerOptions,
  DecoderSpec,
  LoadModelOptions,
  NativeKvArena,
  NativeModel,
  NativeRunner,
  NativeTensorDirectory,
} from "../../../lib/native/native.js";
import { toPlannedModel } from "../../../lib/runtime/memory-check.js";
import { FakeAddon } from "../../support/fake-native.js";

const chatModel = fileURLToPath(new URL("../../../models/air-tiny-chat-q4_0.gguf", import.meta.url));

/** A fake addon that notes how it is used. */
class WatchedAddon extends FakeAddon {
  arenaOptions: CreateArenaOptions | undefined;
  loadOptions: LoadModelOptions | undefined;
  runnerOptions: CreateRunnerOptions | undefined;

  override loadModel(directory: NativeTensorDirectory, spec: DecoderSpec, options?: LoadModelOptions) {
    this.loadOptions = options;
    options?.onProgress?.(25, 100);
    options?.onProgress?.(100, 100);
    return super.loadModel(directory, spec);
  }

  override createArena(model: NativeModel, options: CreateArenaOptions): NativeKvArena {
    this.arenaOptions = options;
    return super.createArena(model, options);
  }

  override createRunner(
    model: NativeModel,
    arena: NativeKvArena,
    options: CreateRunnerOptions,
  ): NativeRunner {
    this.runnerOptions = options;
    return super.createRunner(model, arena, options);
  }
}

/** A fake addon without memory for a runner. */
class CrampedAddon extends FakeAddon {
  override createRunner(): NativeRunner {
    throw new AirNativeError("AIR_ERR_OUT_OF_MEMORY", "expected memory for a runner but received none");
  }
}

describe("loadModel", () => {
  test("loads a file and reserves one head group of int8 pages for the context by default", async () => {
    const addon = new WatchedAddon();
    using model = await loadModel(chatModel, { addon });
    expect(model.info).toMatchObject({ architecture: "llama", vocabSize: 4096, policy: "keep-all" });
    expect(model.info.kv).toEqual({ keys: "int8", values: "int8", rotateKeys: false });
    expect(model.info.contextTokens).toBe(Math.min(model.info.trainedContext, 4096));
    expect(addon.arenaOptions).toMatchObject({
      pageTokens: 32,
      pageCounts: [model.info.contextTokens / 32 + 1],
      keyType: "int8",
      valueType: "int8",
    });
    expect(new Set(addon.arenaOptions?.headMask)).toEqual(new Set([0]));
    const result = await model.createSession().generate("Hello", { maxTokens: 3, ignoreEos: true }).result;
    expect(result.tokens).toHaveLength(3);
  });

  test("passes the options on and rounds the KV cache up to pages", async () => {
    const addon = new WatchedAddon();
    const progress: number[] = [];
    using model = await loadModel(chatModel, {
      addon,
      contextTokens: 100,
      kvTokens: 130,
      kv: "f16",
      pageTokens: 64,
      threads: 3,
      cpuList: [0, 2, 4],
      priority: "low",
      onProgress: (fraction) => progress.push(fraction),
    });
    expect(model.info.contextTokens).toBe(100);
    expect(addon.arenaOptions).toMatchObject({
      pageTokens: 64,
      pageCounts: [4],
      keyType: "f16",
      valueType: "f16",
    });
    const threads = { threads: 3, cpuList: [0, 2, 4], priority: "low" };
    expect(addon.loadOptions).toMatchObject({ backend: "cpu", ...threads });
    expect(addon.runnerOptions).toMatchObject(threads);
    expect(progress).toEqual([0.25, 1]);
  });

  test("makes the directory of a pack cache and hands it to native", async () => {
    const folder = mkdtempSync(join(tmpdir(), "air-load-"));
    const packCache = join(folder, "a", "b");
    const addon = new WatchedAddon();
    using model = await loadModel(chatModel, { addon, packCache });
    expect(addon.loadOptions).toMatchObject({ packCache });
    expect(existsSync(packCache)).toBe(true);
    expect(model.info.packCache).toBeUndefined(); // of the fake
    rmSync(folder, { recursive: true });
    await expect(loadModel(chatModel, { addon, packCache: chatModel })).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
    });
    await expect(loadModel(chatModel, { addon, packCache: "" })).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
      message: 'expected a directory for packCache but received ""',
    });
  });

  test("refuses what does not fit the memory, with the numbers and what to do, unless forced", async () => {
    const addon = new WatchedAddon();
    const options = { addon, contextTokens: 65536, memoryBytes: 200 * 2 ** 20 };
    const refused = loadModel(chatModel, options);
    await expect(refused).rejects.toBeInstanceOf(AirCapacityError);
    await expect(refused).rejects.toMatchObject({
      code: "AIR_ERR_MEMORY",
      message: expect.stringMatching(
        /^expected 2\d\d\.\d MiB of free memory for the model with a context of 65536 tokens but received 200\.0 MiB; a context of \d+ tokens \(--ctx \d+\) saves [\d.]+ MiB and fits$/,
      ),
    });
    expect(addon.loadOptions).toBeUndefined(); // nothing was read
    using forced = await loadModel(chatModel, { ...options, force: true });
    expect(forced.info.contextTokens).toBe(65536);
    using shorter = await loadModel(chatModel, { ...options, contextTokens: 4096 });
    expect(shorter.info.contextTokens).toBe(4096);
  });

  test("says when only a smaller model helps", async () => {
    const refused = loadModel(chatModel, { addon: new FakeAddon(), contextTokens: 128, memoryBytes: 1000 });
    await expect(refused).rejects.toMatchObject({ code: "AIR_ERR_MEMORY" });
    await expect(refused).rejects.toThrow(/but received 1000 B; .*(, which is not enough|helps)$/);
  });

  test("counts the pages that sessions share, and the draft model", async () => {
    const addon = new WatchedAddon();
    const memoryBytes = 200 * 2 ** 20;
    const shared = loadModel(chatModel, { addon, kvTokens: 65536, memoryBytes });
    await expect(shared).rejects.toMatchObject({ code: "AIR_ERR_MEMORY" });
    const bare = { addon, contextTokens: 24576, memoryBytes };
    using alone = await loadModel(chatModel, bare);
    expect(alone.info.contextTokens).toBe(24576);
    const draft = chatModel; // as large as the target
    await expect(loadModel(chatModel, { ...bare, draft })).rejects.toMatchObject({ code: "AIR_ERR_MEMORY" });
  });

  test("does not count weights that a pack cache has, by name and size", async () => {
    const folder = mkdtempSync(join(tmpdir(), "air-load-"));
    const { packedBytes } = weightMemory(toPlannedModel(await describeModel(await readGguf(chatModel))));
    const { neededBytes } = await planModel(chatModel);
    const options = { addon: new FakeAddon(), packCache: folder, memoryBytes: neededBytes - 1e6 };
    const file = join(folder, "air-tiny-chat-q4_0-0123456789abcdef.airpack");
    try {
      await expect(loadModel(chatModel, options)).rejects.toMatchObject({ code: "AIR_ERR_MEMORY" });
      writeFileSync(file, "");
      truncateSync(file, 2 * 2 ** 20 + packedBytes - 1);
      await expect(loadModel(chatModel, options)).rejects.toMatchObject({ code: "AIR_ERR_MEMORY" });
      truncateSync(file, 2 * 2 ** 20 + packedBytes);
      using model = await loadModel(chatModel, options);
      expect(model.info.architecture).toBe("llama");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("frees what it had made when a later part fails", async () => {
    const addon = new CrampedAddon();
    await expect(loadModel(chatModel, { addon })).rejects.toMatchObject({ code: "AIR_ERR_OUT_OF_MEMORY" });
    expect(addon.controls.openHandles()).toBe(0);
  });

  test("refuses a missing file with AIR_ERR_IO and a bad option with AIR_ERR_ARGUMENT", async () => {
    const addon = new FakeAddon();
    await expect(loadModel("no-such-file.gguf", { addon })).rejects.toMatchObject({ code: "AIR_ERR_IO" });
    await expect(loadModel(chatModel, { addon, pageTokens: 20 })).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
      message: "expected a multiple of 16 from 16 to 1024 for pageTokens but received 20",
    });
  });
});
