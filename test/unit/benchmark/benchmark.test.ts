import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { type BenchmarkOptions, runBenchmark } from "../../../lib/benchmark/benchmark.js";
import type { DecoderSpec, LoadedDevice, NativeModel } from "../../../lib/native/native.js";
import { FakeAddon } from "../../support/fake-native.js";

const chatModel = fileURLToPath(new URL("../../../models/air-tiny-chat-q4_0.gguf", import.meta.url));
const draftModel = fileURLToPath(new URL("../../../models/air-tiny-chat-draft-q8_0.gguf", import.meta.url));

const fakeDevice: LoadedDevice = {
  index: 0,
  name: "GPU",
  computeCapability: "9.0",
  multiprocessors: 132,
  totalBytes: 2 ** 36,
  isIntegrated: false,
  image: "sass",
  imageMicros: 5,
};

class AddonWithDevice extends FakeAddon {
  override createModel(spec: DecoderSpec): NativeModel {
    return Object.assign(super.createModel(spec), { device: fakeDevice });
  }
}

/** A benchmark of the bundled file on the fake addon, where a forward takes 1 us and memory has 10 GB/s. */
async function run(options: BenchmarkOptions) {
  const addon = new FakeAddon();
  const report = await runBenchmark(chatModel, {
    promptTokens: 40,
    decodeTokens: 5,
    depths: [0, 64],
    batches: [1, 3],
    ...options,
    load: { addon, ...options.load },
  });
  return { addon, report };
}

describe("runBenchmark", () => {
  test("measures every prompt, depth, batch and row count once", async () => {
    const { report } = await run({});
    const shapes = report.results.map((result) => {
      if (result.test === "prefill") return `prefill ${result.tokens}`;
      if (result.test === "propose") return `propose ${result.tokens}`;
      return result.test === "decode" ? `decode ${result.depth} x ${result.batch}` : `forward ${result.rows}`;
    });
    expect(shapes).toEqual([
      "prefill 40",
      ...["decode 0 x 1", "decode 64 x 1", "decode 0 x 3"],
      ...["forward 1", "forward 2", "forward 4", "forward 8", "forward 16"],
      ...["propose 1", "propose 8"],
    ]);
  });

  test("relates the decode rate at depth 0 to the bandwidth", async () => {
    const { report } = await run({});
    const decode = report.results.find(({ test: name }) => name === "decode");
    expect(decode).toMatchObject({ tokensPerSecond: 1e6, threads: 1, kv: "int8", ms: { p50: 0.001 } });
    expect(report.memory.weightBytes).toBe(1000);
    // 1000 bytes in a microsecond, of 10 GB/s
    expect(report.bandwidth).toEqual({ readGBps: 10, decodeFraction: expect.closeTo(0.1, 9) });
  });

  test("a draft of eight tokens counts as one call and eight tokens", async () => {
    const { report } = await run({});
    expect(report.results.at(-1)).toMatchObject({
      test: "propose",
      tokens: 8,
      tokensPerSecond: 8e6,
      ms: { p50: 0.001 },
    });
  });

  test("a model on a device is compared with the device's bandwidth, and its energy is not the host's", async () => {
    const report = await runBenchmark(chatModel, {
      load: { addon: new AddonWithDevice() },
      decodeTokens: 5,
      depths: [0],
      batches: [1],
    });
    expect(report.device).toEqual(fakeDevice);
    expect(report.bandwidth.readGBps).toBe(20);
    expect(report.results.some((result) => "joulesPerToken" in result)).toBe(false);
  });

  test("counts the tokens of all sequences, and a step's time once", async () => {
    const { report } = await run({});
    expect(report.results).toContainEqual(
      expect.objectContaining({
        test: "decode",
        batch: 3,
        tokensPerSecond: 3e6,
        ms: { p50: 0.001, p90: 0.001, p99: 0.001 },
      }),
    );
  });

  test("cuts a long prompt into the steps that the scheduler would make", async () => {
    const { addon } = await run({ promptTokens: 600 });
    const ends = addon.controls.batches
      .filter(({ tokens }) => tokens.length > 32)
      .map(({ tokens, contextLengths }) => [tokens.length, contextLengths[0]]);
    // one to warm up, then three prompts
    expect(ends).toEqual([
      [512, 512],
      ...Array.from({ length: 3 }, () => [
        [512, 512],
        [88, 600],
      ]).flat(),
    ]);
  });

  test("reports energy per token where a meter is there", async () => {
    const { report } = await run({ energy: { start: () => () => 30 } });
    // three prompts of 40 tokens; five steps of three sequences
    expect(report.results[0]).toMatchObject({ test: "prefill", joulesPerToken: 30 / 120 });
    expect(report.results).toContainEqual(expect.objectContaining({ batch: 3, joulesPerToken: 2 }));
  });

  test("reports progress up to the end", async () => {
    const parts: number[] = [];
    await run({ onProgress: (part) => parts.push(part) });
    expect(parts.at(-1)).toBe(1);
    expect(parts).toEqual([...parts].sort((a, b) => a - b));
  });

  test("compares speculation where asked to, and frees the draft model too", async () => {
    const { addon, report } = await run({ load: { draft: draftModel }, speculation: { prompt: "one two" } });
    expect(report.speculation).toMatchObject({
      name: "ngram and draft model",
      tokens: 5,
      rounds: 3,
      differentTexts: 0,
    });
    expect(addon.controls.openHandles()).toBe(0);
    expect((await run({})).report).not.toHaveProperty("speculation");
  });

  test("has room for a prompt of one token a byte", async () => {
    const { report } = await run({ speculation: { prompt: "\u{1f980}".repeat(200) } });
    expect(report.speculation).toMatchObject({ name: "ngram", tokens: 5 });
  });

  test("stops when asked and leaves nothing open", async () => {
    const addon = new FakeAddon();
    const stop = new AbortController();
    const onProgress = (): void => {
      stop.abort();
    };
    const work = runBenchmark(chatModel, { load: { addon }, signal: stop.signal, onProgress });
    await expect(work).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    expect(addon.controls.openHandles()).toBe(0);
  });
});
