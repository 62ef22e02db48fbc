import { describe, expect, test } from "vitest";

import type { GeneratedChunk } from "../../../lib/runtime/generation.js";
import type { Model } from "../../../lib/runtime/model.js";
import { bosId, createFakeModel, eosId, fakeTokenizer } from "../../support/fake-model.js";

const prompt = "the quick brown fox jumps over the lazy dog";

async function generate(
  model: Model,
  text: string,
  options: Parameters<ReturnType<Model["createSession"]>["generate"]>[1],
) {
  using session = model.createSession();
  return await session.generate(text, options).result;
}

describe("session.generate", () => {
  test("streams chunks whose text and tokens add up to the result", async () => {
    const { model } = createFakeModel();
    const session = model.createSession();
    const generation = session.generate(prompt, { maxTokens: 20, ignoreEos: true });
    const chunks: GeneratedChunk[] = [];
    for await (const chunk of generation) chunks.push(chunk);
    const result = await generation.result;
    expect(result.tokens).toHaveLength(20);
    expect(chunks.flatMap((chunk) => chunk.tokens)).toEqual(result.tokens);
    expect(chunks.map((chunk) => chunk.text).join("")).toBe(result.text);
    expect(result.text).toBe(fakeTokenizer.decode(result.tokens));
    expect(result.promptTokens).toBe(prompt.length + 1);
    expect(result.finishReason).toBe("length");
  });

  test("gives the same text whatever the chunk and page sizes", async () => {
    const texts = await Promise.all(
      [
        { maxBatchTokens: 1, pageTokens: 16 },
        { maxBatchTokens: 7, pageTokens: 32 },
        { maxBatchTokens: 256, pageTokens: 16 },
      ].map(async (shape) => (await generate(createFakeModel(shape).model, prompt, { maxTokens: 40 })).text),
    );
    expect(new Set(texts).size).toBe(1);
  });

  test("depends on every token of the prompt", async () => {
    const { model } = createFakeModel();
    const first = await generate(model, "a" + prompt, { maxTokens: 12, ignoreEos: true });
    const other = await generate(model, "b" + prompt, { maxTokens: 12, ignoreEos: true });
    expect(first.tokens).not.toEqual(other.tokens);
  });

  test("puts BOS first and computes the prompt once", async () => {
    const { model, addon } = createFakeModel({ maxBatchTokens: 64 });
    await generate(model, "abc", { maxTokens: 3, ignoreEos: true });
    const [prefill, decode] = addon.controls.batches;
    expect(prefill?.tokens[0]).toBe(bosId);
    expect(prefill?.tokens).toHaveLength(4);
    expect([...(prefill?.logitRows ?? [])]).toEqual([3]);
    expect(decode?.tokens).toHaveLength(1);
    expect(addon.controls.batches).toHaveLength(3);
  });

  test("ends with stop at an end-of-generation token, which is not part of the tokens", async () => {
    const { model } = createFakeModel();
    const result = await generate(model, prompt, { logitBias: { [eosId]: 100 } });
    expect(result).toMatchObject({ finishReason: "stop", text: "", tokens: [] });
  });

  test("goes on past end-of-generation tokens with ignoreEos", async () => {
    const { model } = createFakeModel();
    const result = await generate(model, prompt, {
      logitBias: { [eosId]: 100 },
      ignoreEos: true,
      maxTokens: 3,
    });
    expect(result.tokens).toEqual([eosId, eosId, eosId]);
  });

  test("ends with length at the end of the context", async () => {
    const { model } = createFakeModel({ contextTokens: 64 });
    const result = await generate(model, prompt, { ignoreEos: true });
    expect(result.finishReason).toBe("length");
    expect(result.promptTokens + result.tokens.length).toBe(64);
  });

  test("reports timings that fit together", async () => {
    const { model } = createFakeModel();
    const { timings } = await generate(model, prompt, { maxTokens: 10, ignoreEos: true });
    expect(timings.timeToFirstTokenMs).toBeGreaterThan(0);
    expect(timings.prefillTokensPerSecond).toBeCloseTo(((prompt.length + 1) * 1000) / timings.prefillMs, 6);
    expect(timings.decodeTokensPerSecond).toBeCloseTo((9 * 1000) / timings.decodeMs, 6);
  });
});
