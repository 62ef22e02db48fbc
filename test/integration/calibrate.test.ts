import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { divideText } from "../../lib/compression/calibration-text.js";
import { loadAddon } from "../../lib/native/load.js";
import type { NativeAddon, NativeRunner } from "../../lib/native/native.js";
import {
  calibrate,
  type CalibrateOptions,
  formatHeadsFile,
  type HeadsFile,
  loadModel,
  type Model,
  perplexity,
  planModel,
} from "../../lib/index.js";

const models = fileURLToPath(new URL("../../models/", import.meta.url));
const file = join(models, "air-tiny-large-q4_0.gguf");
const docs = fileURLToPath(new URL("../../docs/", import.meta.url));
const text = readdirSync(docs)
  .filter((name) => name.endsWith(".md"))
  .sort()
  .map((name) => readFileSync(join(docs, name), "utf8"))
  .join("\n");
const folder = mkdtempSync(join(tmpdir(), "air-calibrate-"));
const contextTokens = 64;
const sizes = { contextTokens, scoreTokens: 64, holdoutTokens: 128, windowTokens: 24, sinkTokens: 4 };

afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** The addon, counting forward passes. */
function countForwards(): { readonly addon: NativeAddon; readonly count: () => number } {
  let count = 0;
  const addon = loadAddon();
  const createRunner: NativeAddon["createRunner"] = (...args) => {
    const runner = addon.createRunner(...args);
    const forward: NativeRunner["forward"] = async (...request) => {
      count += 1;
      return runner.forward(...request);
    };
    return override(runner, { forward });
  };
  return { addon: override(addon, { createRunner }), count: () => count };
}

/** `target` with some methods replaced; the others are called on the target itself. */
function override<Target extends object>(target: Target, methods: Partial<Target>): Target {
  return new Proxy(target, {
    get: (_, name) => {
      const value: unknown = Reflect.get(name in methods ? methods : target, name);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

function writeHeads(name: string, heads: HeadsFile): string {
  const path = join(folder, name);
  writeFileSync(path, formatHeadsFile(heads));
  return path;
}

/** Perplexity on what the calibration held out, by the ordinary path: sessions, page tables, evictions. */
async function heldOutPerplexity(
  model: Model,
): Promise<{ readonly perplexity: number; readonly tokens: number }> {
  const ids = model.tokenizer.encode(text, { special: false, bos: false });
  const { holdout } = divideText(model, ids, { ...sizes, maxRows: 1 });
  let [nll, tokens] = [0, 0];
  for (const { next } of holdout) {
    const result = await perplexity(model, next, { contextTokens });
    expect(result.tokens).toBe(next.length); // one window, after BOS, as in the calibration
    nll += result.meanNll * result.tokens;
    tokens += result.tokens;
  }
  return { perplexity: Math.exp(nll / tokens), tokens };
}

describe("a calibration", () => {
  let masks: HeadsFile;
  let windows: HeadsFile;
  let channels: HeadsFile;
  beforeAll(async () => {
    masks = await calibrate(file, text, { ...sizes, budget: 0.016 });
  });
  beforeAll(async () => {
    windows = await calibrate(file, text, { ...sizes, maxPerplexityIncrease: 0.03 });
  });
  beforeAll(async () => {
    channels = await calibrate(file, text, { ...sizes, channelBudget: 0.1, maxPerplexityIncrease: 0.05 });
  });

  test("masks as many query heads as the budget says", () => {
    const { layers, queryHeads } = { layers: masks.scores.queryHeads.length, queryHeads: 8 };
    expect(masks.scores.queryHeads.every((list) => list.length === queryHeads)).toBe(true);
    expect(masks.maskedQueryHeads.flat().length).toBe(Math.round(0.016 * layers * queryHeads));
    expect(masks.kvHeads.flat()).not.toContain("stream");
    expect(masks.expected.meanDivergence).toBeGreaterThan(0);
    expect(masks.model.name).not.toBe("");
  });

  test("demotes KV heads for as long as perplexity stays within the limit", () => {
    const { perplexity: after, perplexityBefore } = windows.expected;
    expect(windows.kvHeads.flat()).toContain("stream");
    expect(after).toBeLessThanOrEqual(perplexityBefore * 1.03);
    expect(windows.scores.kvHeadsStream.flat().every((score) => score !== null)).toBe(true);
  });

  test.each([
    ["masked query heads", () => masks],
    ["windowed KV heads", () => windows],
    ["pruned channels", () => channels],
  ])("promises what a model that is loaded with it does: %s", async (name, get) => {
    const heads = get();
    const path = writeHeads(`${name.replaceAll(" ", "-")}.json`, heads);
    using model = await loadModel(file, { heads: path, contextTokens });
    const measured = await heldOutPerplexity(model);
    expect(measured.tokens).toBe(heads.expected.tokens);
    // What is kept has the same bits in both; what differs is in which order float64 sums were taken.
    expect(measured.perplexity / heads.expected.perplexity).toBeCloseTo(1, 9);
    using whole = await loadModel(file, { contextTokens });
    const before = await heldOutPerplexity(whole);
    expect(before.perplexity / heads.expected.perplexityBefore).toBeCloseTo(1, 9);
    expect(measured.perplexity).not.toBe(before.perplexity);
  });

  test.each([
    ["masked query heads", () => masks],
    ["windowed KV heads", () => windows],
    ["pruned channels", () => channels],
  ])("takes the memory that planModel() says: %s", async (name, get) => {
    const heads = writeHeads(`plan-${name.replaceAll(" ", "-")}.json`, get());
    const options = { contextTokens: 1024, heads };
    using model = await loadModel(file, options);
    using whole = await loadModel(file, { contextTokens: 1024 });
    const { weightBytes, kvBytes } = model.memory();
    expect(await planModel(file, options)).toMatchObject({ weightBytes, kvBytes });
    if (name === "windowed KV heads") expect(kvBytes).toBeLessThan(whole.memory().kvBytes);
    else expect(weightBytes).toBeLessThan(whole.memory().weightBytes);
  });

  test("is refused by another model", async () => {
    const heads = writeHeads("other.json", masks);
    const other = join(models, "air-tiny-chat-q4_0.gguf");
    const refusal = {
      code: "AIR_ERR_HEADS_FILE",
      message: expect.stringContaining("of this model") as string,
    };
    await expect(loadModel(other, { heads })).rejects.toMatchObject(refusal);
    await expect(planModel(other, { heads })).rejects.toMatchObject(refusal);
  });

  test("goes on after an abort, without computing again what is in the journal", async () => {
    const journal = join(folder, "scores");
    const controller = new AbortController();
    let steps = 0;
    const onProgress: CalibrateOptions["onProgress"] = ({ fraction }) => {
      expect(fraction).toBeGreaterThan(0);
      steps += 1;
      if (steps === 20) controller.abort();
    };
    const settings = { ...sizes, budget: 0.016 };
    const options = { ...settings, journal };
    await expect(
      calibrate(file, text, { ...options, onProgress, signal: controller.signal }),
    ).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    const kept = readFileSync(journal, "utf8");
    expect(kept.trimEnd().split("\n").length - 1).toBe(20 - 2); // less what the model predicts, and the activity

    const [whole, rest] = [countForwards(), countForwards()];
    expect(await calibrate(file, text, { ...settings, addon: whole.addon })).toEqual(masks);
    writeFileSync(journal, kept.slice(0, -7)); // the last line was being written
    expect(await calibrate(file, text, { ...options, addon: rest.addon })).toEqual(masks);
    // The perplexity of two held out windows and 17 scores of one were in the journal, the last of them cut.
    expect(whole.count() - rest.count()).toBe(2 + 17 - 1);
    expect(
      readFileSync(journal, "utf8").startsWith(kept.slice(0, kept.lastIndexOf("\n", kept.length - 2))),
    ).toBe(true);
  });
});

describe("memory as planned without a heads file", () => {
  test.each([
    [{ contextTokens: 1000, kv: "int4" }],
    [{ contextTokens: 1000, kvKeys: "int8", kvValues: "int4" }],
    [{ contextTokens: 4096, window: 100, sinks: 4 }],
    [{ contextTokens: 4096, window: 100, sinks: 40, kv: "int4", pageTokens: 16 }],
    [{ window: 500 }],
  ] as const)("%o", async (options) => {
    using model = await loadModel(file, options);
    const { weightBytes, kvBytes } = model.memory();
    expect(await planModel(file, options)).toMatchObject({ weightBytes, kvBytes });
  });
});

describe("calibrate", () => {
  test.each([
    [{ budget: 1.5 }, "expected a fraction from 0 to 1 for budget but received 1.5"],
    [{ layerCap: -1 }, "expected a fraction from 0 to 1 for layerCap but received -1"],
    [{ channelBudget: NaN }, "expected a fraction from 0 to 1 for channelBudget but received NaN"],
    [
      { maxPerplexityIncrease: -0.1 },
      "expected a number of at least 0 for maxPerplexityIncrease but received -0.1",
    ],
  ])("refuses %o", async (options, message) => {
    await expect(calibrate(file, text, options)).rejects.toMatchObject({ code: "AIR_ERR_ARGUMENT", message });
  });

  test("computes anew what a journal has of other precisions, and packs into a cache", async () => {
    const journal = join(folder, "kv-scores");
    const packCache = join(folder, "packs");
    const settings = { ...sizes, channelBudget: 0.02, journal, packCache };
    const seen: [string, number][] = [];
    for (const kv of [{}, { kvKeys: "f16" }, { kvValues: "f16" }] as const) {
      const { expected } = await calibrate(file, text, { ...settings, ...kv });
      seen.push([readFileSync(journal, "utf8").split("\n")[0] ?? "", expected.perplexityBefore]);
    }
    expect(new Set(seen.map(([identity]) => identity)).size).toBe(3);
    expect(new Set(seen.map(([, perplexityBefore]) => perplexityBefore)).size).toBe(3);
    expect(readdirSync(packCache)).toHaveLength(1);
  });

  test("refuses a text that is too short, and a journal that cannot be written", async () => {
    await expect(calibrate(file, "Too short.", sizes)).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
      message: expect.stringContaining("expected at least 256 tokens for a calibration text") as string,
    });
    const journal = join(folder, "missing", "scores");
    await expect(calibrate(file, text, { ...sizes, journal })).rejects.toMatchObject({ code: "AIR_ERR_IO" });
  });
});
