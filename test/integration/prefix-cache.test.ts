/** The prefix cache on the built addon. */
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { type GenerateOptions, loadModel, type LoadModelOptions, type Model } from "../../lib/index.js";

const model = (name: string): string => fileURLToPath(new URL(`../../models/${name}.gguf`, import.meta.url));
const chatModel = model("air-tiny-chat-q4_0");
const instructions = "You answer questions about kettles, lamps and capitals, in one sentence. ".repeat(10);
const questions = ["What is the capital of France?", "What is 12 times 7?", "Who boils the water?"];
const options: GenerateOptions = { maxTokens: 24, temperature: 0.8, seed: 3, ignoreEos: true, logprobs: 3 };

async function answers(loaded: Model, extra: GenerateOptions = {}): Promise<readonly unknown[]> {
  const results: unknown[] = [];
  for (const question of questions) {
    using session = loaded.createSession();
    const { tokens, logprobs } = await session.generate(instructions + question, { ...options, ...extra })
      .result;
    results.push({ tokens, logprobs });
  }
  return results;
}

describe("sessions that share the beginning of their prompts", () => {
  test.each<[string, LoadModelOptions]>([
    ["int8", {}],
    ["f16", { kv: "f16" }],
    ["int4", { kv: "int4" }],
    ["a window", { window: 64, sinks: 4, contextTokens: 512 }],
    ["short chunks", { maxBatchTokens: 48 }],
    ["few pages", { kvTokens: 320 }],
  ])("get the bits that they get without sharing, with %s", async (_name, loadOptions) => {
    const contextTokens = 512;
    using alone = await loadModel(chatModel, { contextTokens, ...loadOptions, prefixCache: false });
    using sharing = await loadModel(chatModel, { contextTokens, ...loadOptions });
    expect(await answers(sharing)).toEqual(await answers(alone));
    expect(sharing.stats.prefixCache).toMatchObject({ lookups: 3, hits: 2 });
    expect(sharing.stats.prefixCache?.hitTokens).toBeGreaterThan(200);
    expect(sharing.stats.computedTokens).toBeLessThan(0.8 * alone.stats.computedTokens);
    expect(alone.stats.prefixCache).toBeUndefined();
  });

  test("share in the draft model too", async () => {
    const draft = model("air-tiny-chat-draft-q8_0");
    const adaptive = { speculation: { adaptive: false, proposers: ["draft-model"] } } as const;
    using alone = await loadModel(chatModel, { contextTokens: 512, draft, prefixCache: false });
    using sharing = await loadModel(chatModel, { contextTokens: 512, draft });
    expect(await answers(sharing, adaptive)).toEqual(await answers(alone, adaptive));
    expect(sharing.stats.draft?.prefixCache?.hits).toBeGreaterThan(1);
  });

  test("do not share with sessions of another salt", async () => {
    using loaded = await loadModel(chatModel, { contextTokens: 512 });
    const reused: number[] = [];
    for (const cacheSalt of ["one", "two", "one"]) {
      using session = loaded.createSession({ cacheSalt });
      const { result } = session.generate(instructions, { maxTokens: 1 });
      reused.push((await result).reusedTokens);
    }
    expect(reused.slice(0, 2)).toEqual([0, 0]);
    expect(reused[2]).toBeGreaterThan(120);
  });

  test("fork with their own pages from there on", async () => {
    using loaded = await loadModel(chatModel, { contextTokens: 512 });
    using session = loaded.createSession();
    const start = await session.generate(instructions, options).result;
    using fork = session.fork();
    const texts = [" One way", " The other way"].map((end) => instructions + start.text + end);
    const [one, other] = await Promise.all([
      session.generate(texts[0] ?? "", options).result,
      fork.generate(texts[1] ?? "", options).result,
    ]);
    using plain = await loadModel(chatModel, { contextTokens: 512, prefixCache: false });
    for (const [order, result] of [one, other].entries()) {
      using alone = plain.createSession();
      const expected = await alone.generate(texts[order] ?? "", options).result;
      expect(result.tokens).toEqual(expected.tokens);
      expect(result.logprobs).toEqual(expected.logprobs);
      expect(result.reusedTokens).toBeGreaterThan(150);
    }
  });
});
