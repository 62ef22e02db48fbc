import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { AirNativeError } from "../../../lib/errors/air-error.js";
import { loadModel } from "../../../lib/index.js";
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
    expect(model.info).toMatchObject({ architecture: "llama", vocabSize: 4096, kv: "int8" });
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
