/**
 * Texts on the CUDA backend: those of the CPU, whatever the company, the guesses and the steps. With AIR_REQUIRE_GPU=1 on
 * the machine's GPU; else in a short form on the fake driver.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { beforeAll, describe, expect, test } from "vitest";

import { buildStep } from "../../lib/benchmark/step-runner.js";
import { loadModel, type LoadModelOptions, type Model } from "../../lib/index.js";
import type { ModelParts } from "../../lib/runtime/model.js";
import { loadModelParts } from "../../lib/runtime/load-model.js";
import { requiresGpu as full, findTestDevice, type TestDevice } from "../support/gpu.js";
import { draftings, evalPrompts, greedyTokens, modelFile } from "../support/speculation-equality.js";

const large = modelFile("air-tiny-large-q4_0.gguf");
const largeDraft = modelFile("air-tiny-draft-q8_0.gguf");
const small = modelFile("air-tiny-chat-draft-q8_0.gguf");
const target = full ? large : small;
const draft = full ? largeDraft : small;
const timeout = 600_000;

/** Nats between the CPU's two likeliest tokens below which rounding may swap them. */
const tie = 0.05;
const pageTokens = 16;

let device: TestDevice;
beforeAll(() => {
  device = findTestDevice();
}, timeout);

const load = (options: LoadModelOptions): Promise<Model> =>
  loadModel(target, { contextTokens: 256, pageTokens, maxBatchTokens: full ? 512 : 64, ...options });

describe("a greedy text on a CUDA device", () => {
  test("is the CPU's up to a tie", { timeout }, async () => {
    if (device === "none") return;
    using onCpu = await load({ kv: "f16" });
    using onDevice = await load({ kv: "f16", device: "cuda" });
    const maxTokens = full ? 48 : 6;
    let compared = 0;
    for (const prompt of evalPrompts(full ? 10 : 2)) {
      using session = onCpu.createSession();
      const options = { maxTokens, logprobs: 2, speculation: "off" } as const;
      const { tokens, logprobs } = await session.generate(prompt, options).result;
      const received = await greedyTokens(onDevice, prompt, maxTokens);
      const first = tokens.findIndex((token, index) => token !== received[index]);
      compared += first < 0 ? tokens.length : first;
      if (first < 0) continue;
      const [best, next] = logprobs?.[first]?.top ?? [];
      expect(next?.token).toBe(received[first]);
      expect((best?.logprob ?? 0) - (next?.logprob ?? -Infinity)).toBeLessThan(tie);
    }
    expect(compared).toBeGreaterThan(full ? 300 : 6);
  });

  test("is the same with guesses, and beside other texts", { timeout }, async () => {
    if (device === "none") return;
    using model = await load({ device: "cuda", draft, kvTokens: full ? 4096 : 512 });
    const maxTokens = full ? 48 : 6;
    const prompts = evalPrompts(full ? 10 : 2);
    const expected: (readonly number[])[] = [];
    for (const prompt of prompts) expected.push(await greedyTokens(model, prompt, maxTokens));
    const tried = full ? draftings : draftings.filter(({ maxDraftTokens }) => maxDraftTokens === 3);
    for (const [index, prompt] of prompts.entries()) {
      for (const drafting of tried) {
        const tokens = await greedyTokens(model, prompt, maxTokens, drafting);
        expect(tokens, JSON.stringify(drafting)).toEqual(expected[index]);
      }
    }
    const together = await Promise.all(prompts.map((prompt) => greedyTokens(model, prompt, maxTokens)));
    expect(together).toEqual(expected);
    expect(model.stats.freePages).toBe(model.stats.usablePages);
  });

  test("goes on from a session that the CPU saved", { timeout }, async () => {
    if (device === "none") return;
    const folder = mkdtempSync(join(tmpdir(), "air-cuda-"));
    const file = join(folder, "session");
    try {
      const [prompt = ""] = evalPrompts(1);
      const options = { maxTokens: full ? 24 : 4, speculation: "off", ignoreEos: true } as const;
      using onCpu = await load({});
      using saved = onCpu.createSession();
      const { text } = await saved.generate(prompt, options).result;
      await saved.save(file);
      const expected = await saved.generate(`${prompt}${text} And`, options).result;
      using onDevice = await load({ device: "cuda" });
      using restored = onDevice.createSession();
      await restored.restore(file);
      const received = await restored.generate(`${prompt}${text} And`, options).result;
      // The CPU's pages, read by the device: a wrong order of bytes would leave nothing of the text.
      expect(received.reusedTokens).toBe(expected.reusedTokens);
      expect(received.reusedTokens).toBeGreaterThan(0);
      expect(received.tokens[0]).toBe(expected.tokens[0]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** Logits of a text's every token, computed in steps of these sizes beside `company` other texts. */
async function logitsOf(parts: ModelParts, sizes: readonly number[], company = 0): Promise<Float32Array> {
  const { runner, addon, info } = parts;
  const { vocabSize } = info;
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const collected = new Float32Array(total * vocabSize);
  let done = 0;
  for (const size of sizes) {
    const shape = {
      sequences: 1 + company,
      pagesEach: Math.ceil(total / pageTokens),
      cachedTokens: done,
      newTokens: size,
      logits: "all",
    } as const;
    const batch = buildStep(shape, pageTokens, vocabSize);
    const logits = addon.allocateShared(batch.logitRows.length * vocabSize);
    await runner.forward(batch, { logits });
    collected.set(logits.subarray(0, size * vocabSize), done * vocabSize); // the first sequence is ours
    done += size;
  }
  return collected;
}

describe("logits on a CUDA device", () => {
  test("have the same bits in any company and in steps of any size", { timeout }, async () => {
    if (device === "none") return;
    const total = full ? 300 : 24;
    const sizes = (...list: readonly number[]): readonly number[] => {
      const result: number[] = [];
      for (let left = total; left > 0; left -= result.at(-1) ?? left) {
        result.push(Math.min(left, list[result.length % list.length] ?? left));
      }
      return result;
    };
    for (const kv of full ? (["f16", "int8", "int4"] as const) : (["int8"] as const)) {
      const parts = await loadModelParts(target, {
        device: "cuda",
        kv,
        pageTokens,
        contextTokens: 512,
        kvTokens: 4 * 512,
        maxBatchTokens: 512,
      });
      try {
        const expected = await logitsOf(parts, [total]);
        expect(expected.some((value) => value !== 0)).toBe(true);
        for (const steps of full ? [[1], [2, 7, 16], [17, 64, 100], [5, 8, 3]] : [[1, 7, 16]]) {
          const received = await logitsOf(parts, sizes(...steps));
          expect(firstDifference(expected, received), `${kv}, steps of ${steps.join(", ")}`).toBe(-1);
        }
        const beside = await logitsOf(parts, sizes(full ? 40 : 12), full ? 3 : 1);
        expect(firstDifference(expected, beside), `${kv}, in company`).toBe(-1);
      } finally {
        for (const handle of [parts.runner, parts.arena, parts.native]) handle.close();
      }
    }
  });
});

/** Index of the first element whose bits differ, or -1. */
function firstDifference(a: Float32Array, b: Float32Array): number {
  const [left, right] = [a, b].map((list) => new Int32Array(list.buffer, list.byteOffset, list.length));
  return left?.findIndex((bits, index) => bits !== right?.[index]) ?? 0;
}
