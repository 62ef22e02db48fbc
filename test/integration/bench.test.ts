import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { describe, expect, test } from "vitest";

import type { BenchmarkReport } from "../../lib/benchmark/report.js";
import { loadAddon } from "../../lib/native/load.js";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const draftModel = fileURLToPath(new URL("../../models/air-tiny-chat-draft-q8_0.gguf", import.meta.url));

async function bench(...args: readonly string[]): Promise<string> {
  const quick = ["-p", "24", "-n", "4", "-d", "0,64", "-b", "1,3", "--threads", "2"];
  return (await promisify(execFile)(process.execPath, [main, "bench", ...quick, ...args])).stdout;
}

describe("air bench", () => {
  test("prints what it measured as one object", async () => {
    const report = JSON.parse(await bench("--json", "--kv", "f16")) as BenchmarkReport;
    const tests = report.results.map(({ test: name, batch }) => `${name} ${batch}`);
    expect(tests).toEqual([
      "prefill 1",
      "decode 1",
      "decode 1",
      "decode 3",
      ...Array.from({ length: 5 }, () => "forward 1"),
      ...Array.from({ length: 2 }, () => "propose 1"),
    ]);
    for (const { ms, tokensPerSecond, kv, threads } of report.results) {
      expect(tokensPerSecond).toBeGreaterThan(0);
      expect(ms.p50).toBeGreaterThan(0);
      expect(ms.p99).toBeGreaterThanOrEqual(ms.p90);
      expect(ms.p90).toBeGreaterThanOrEqual(ms.p50);
      expect([kv, threads]).toEqual(["f16", 2]);
    }
    const { session, bandwidth, memory } = report;
    expect(session.overheadMs).toBeGreaterThan(0);
    expect(session.ms.p50).toBeGreaterThan(session.overheadMs);
    expect(bandwidth.readGBps).toBeGreaterThan(0.1);
    expect(bandwidth.decodeFraction).toBeGreaterThan(0);
    expect(memory.peakRssBytes).toBeGreaterThan(memory.weightBytes);
    // The bandwidth's buffer of 256 MiB is not counted.
    expect(memory.peakRssBytes).toBeLessThan(memory.weightBytes + 2 ** 28);
  });

  test("prints tables for people", async () => {
    const text = await bench();
    expect(text).toMatch(/^prefill {2}24 tokens +\d/m);
    expect(text).toMatch(/^decode +batch 3 +[\d.]+( +[\d.]+){3} +[\d.]+x$/m);
    expect(text).toMatch(/^bandwidth +[\d.]+ GB\/s read, \d+% of it used/m);
    expect(text).not.toMatch(/NaN|undefined|Infinity/);
  });

  test("compares a draft model with target-only decoding of a prompt", async () => {
    const folder = await mkdtemp(join(tmpdir(), "air-bench-"));
    try {
      const file = join(folder, "prompt.txt");
      await writeFile(file, "<|user|>\nWhat is 12 times 7?<|end|>\n<|assistant|>\n");
      const prompt = ["-n", "8", "--prompt-file", file];
      const report = JSON.parse(await bench("--json", "--draft", draftModel, ...prompt)) as BenchmarkReport;
      expect(report.speculation).toMatchObject({
        name: "ngram and draft model",
        tokens: 8,
        differentTexts: 0,
      });
      expect(report.speculation?.targetOnly.tokensPerSecond).toBeGreaterThan(0);
      expect(await bench("--draft", "ngram", ...prompt)).toMatch(/^target only +[\d.]+$\nngram +[\d.]+ /m);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("refuses a prompt without a way to draft", async () => {
    await expect(bench("--prompt-file", "x.txt")).rejects.toThrow(
      "expected --draft beside it for --prompt-file",
    );
  });
});

describe("measureReadBandwidth", () => {
  test("refuses what is no number of threads", async () => {
    for (const threads of [0, 1.5, NaN]) {
      await expect(loadAddon().measureReadBandwidth(threads)).rejects.toMatchObject({
        code: "AIR_ERR_ARGUMENT",
      });
    }
  });

  test("leaves the event loop free", async () => {
    let ticks = 0;
    const timer = setInterval(() => (ticks += 1), 1);
    const readGBps = await loadAddon().measureReadBandwidth(1);
    clearInterval(timer);
    expect(readGBps).toBeGreaterThan(0.1);
    expect(ticks).toBeGreaterThan(3);
  });
});
