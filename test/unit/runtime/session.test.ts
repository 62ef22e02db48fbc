import { describe, expect, test } from "vitest";

import type { GenerateOptions } from "../../../lib/runtime/options.js";
import {
  createFakeModel,
  encodeCharacters,
  eosId,
  fakeTokenizer,
  fakeVocabSize,
} from "../../support/fake-model.js";

const prompt = "the quick brown fox jumps over the lazy dog";
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function textOf(input: string, options: GenerateOptions): Promise<string> {
  const { model } = createFakeModel();
  return (await model.createSession().generate(input, { ignoreEos: true, ...options }).result).text;
}

describe("session.generate and its input", () => {
  test("refuses an empty prompt with AIR_ERR_ARGUMENT", () => {
    const session = createFakeModel().model.createSession();
    expect(() => session.generate("")).toThrow(expect.objectContaining({ code: "AIR_ERR_ARGUMENT" }));
    expect(() => session.generate([])).toThrow(expect.objectContaining({ code: "AIR_ERR_ARGUMENT" }));
  });

  test("refuses a prompt that leaves no room with AIR_ERR_CONTEXT, and takes one that leaves a token", async () => {
    const session = createFakeModel({ contextTokens: 32 }).model.createSession();
    expect(() => session.generate("a".repeat(31))).toThrow(
      expect.objectContaining({
        code: "AIR_ERR_CONTEXT",
        message: "expected at most 31 tokens for a context of 32 but received 32",
      }),
    );
    const { tokens, finishReason } = await session.generate("a".repeat(30), { ignoreEos: true }).result;
    expect([tokens.length, finishReason]).toEqual([1, "length"]);
  });

  test("refuses bad options and biases of unknown tokens before it starts", async () => {
    const session = createFakeModel().model.createSession();
    expect(() => session.generate("a", { topP: 3 })).toThrow(
      "expected a number from 0 to 1 for topP but received 3",
    );
    expect(() => session.generate("a", { logitBias: { 999: 1 } })).toThrow(
      `expected token ids below ${fakeVocabSize} for logitBias but received 999`,
    );
    expect((await session.generate("a", { maxTokens: 1 }).result).promptTokens).toBe(2);
  });

  test("puts messages through the chat template", async () => {
    const { model, addon } = createFakeModel();
    await model.createSession().generate([{ role: "user", content: "hi" }], { maxTokens: 1 }).result;
    const ids = addon.controls.batches[0]?.tokens ?? [];
    expect(fakeTokenizer.decode(ids)).toBe("user: hi\nassistant: ");
  });

  test("refuses messages without a chat template with AIR_ERR_TEMPLATE", () => {
    const session = createFakeModel({ chatTemplate: undefined }).model.createSession();
    expect(() => session.generate([{ role: "user", content: "hi" }])).toThrow(
      expect.objectContaining({ code: "AIR_ERR_TEMPLATE" }),
    );
  });
});

describe("session.generate and its output", () => {
  test("ends before a stop string, which no chunk shows any part of", async () => {
    const whole = await textOf(prompt, { maxTokens: 40 });
    const stop = whole.slice(10, 13);
    const end = whole.indexOf(stop);
    const { model } = createFakeModel();
    const generation = model
      .createSession()
      .generate(prompt, { maxTokens: 40, ignoreEos: true, stop: [stop] });
    const texts: string[] = [];
    for await (const chunk of generation) texts.push(chunk.text);
    const result = await generation.result;
    expect(texts.join("")).toBe(whole.slice(0, end));
    expect(result.text).toBe(whole.slice(0, end));
    expect(result.finishReason).toBe("stop");
  });

  test("gives held-back text when the length ends the generation", async () => {
    const whole = await textOf(prompt, { maxTokens: 12 });
    expect(await textOf(prompt, { maxTokens: 12, stop: [`${whole.slice(-2)}#`] })).toBe(whole);
  });

  test("gives the same text for the same seed, alone or under load, and other texts for other seeds", async () => {
    const options = { temperature: 1, maxTokens: 30, seed: 11, ignoreEos: true };
    const { model } = createFakeModel({ kvTokens: 2048, maxBatchTokens: 24 });
    const load = [1, 2, 3, 4].map((seed) =>
      model.createSession().generate(prompt.slice(seed), { ...options, seed }),
    );
    const { text, seed } = await model.createSession().generate(prompt, options).result;
    await Promise.all(load.map(({ result }) => result));
    expect(text).toBe(await textOf(prompt, options));
    expect(seed).toBe(11);
    expect(text).not.toBe(await textOf(prompt, { ...options, seed: 12 }));
  });

  test("draws a random seed by default and reports it, so that the text can be had again", async () => {
    const { model } = createFakeModel();
    const session = model.createSession();
    const first = await session.generate(prompt, { temperature: 1, maxTokens: 20 }).result;
    const again = await session.generate(prompt, { temperature: 1, maxTokens: 20, seed: first.seed }).result;
    expect(again.text).toBe(first.text);
  });

  test("reports logprobs per token, in chunks as in the result", async () => {
    const { model } = createFakeModel();
    const generation = model.createSession().generate(prompt, { maxTokens: 5, ignoreEos: true, logprobs: 2 });
    const chunks = [];
    for await (const chunk of generation) chunks.push(...(chunk.logprobs ?? []));
    const { logprobs, tokens } = await generation.result;
    expect(chunks).toEqual(logprobs);
    expect(logprobs?.map((entry) => entry.token)).toEqual(tokens);
    for (const entry of logprobs ?? [])
      expect(entry.top[0]).toEqual({ token: entry.token, logprob: entry.logprob });
  });

  test("fails with AIR_ERR_INTERNAL naming the position when the logits are NaN; other sessions go on", async () => {
    const { model, addon } = createFakeModel();
    const [zero] = encodeCharacters("0");
    addon.controls.poisonedTokens.add(zero ?? -1);
    const good = model.createSession().generate("abc", { maxTokens: 1, ignoreEos: true });
    await expect(model.createSession().generate("ab0").result).rejects.toMatchObject({
      code: "AIR_ERR_INTERNAL",
      message: expect.stringContaining("position 4"),
    });
    expect((await good.result).tokens).toHaveLength(1);
  });

  test("never samples the rows that pad the vocabulary", async () => {
    const tokenizer = { ...fakeTokenizer, vocabSize: 4 };
    const { model } = createFakeModel({ tokenizer });
    const session = model.createSession();
    const { tokens } = await session.generate("a", { temperature: 100, maxTokens: 60, ignoreEos: true })
      .result;
    expect(Math.max(...tokens)).toBeLessThan(4);
  });
});

describe("Session", () => {
  test("computes only the new part of a prompt that starts like the last text", async () => {
    const { model } = createFakeModel();
    const session = model.createSession();
    const first = await session.generate(prompt, { maxTokens: 8, ignoreEos: true }).result;
    const next = `${prompt}${first.text} and so on`;
    const second = await session.generate(next, { maxTokens: 8, ignoreEos: true }).result;
    expect(first.reusedTokens).toBe(0);
    expect(second.reusedTokens).toBeGreaterThanOrEqual(prompt.length + 1);
    expect(second.text).toBe(await textOf(next, { maxTokens: 8 }));
  });

  test("refuses a second generation at a time with AIR_ERR_BUSY", async () => {
    const session = createFakeModel().model.createSession();
    const { result } = session.generate(prompt, { maxTokens: 3 });
    expect(() => session.generate(prompt)).toThrow(expect.objectContaining({ code: "AIR_ERR_BUSY" }));
    await result;
    await session.generate(prompt, { maxTokens: 1 }).result;
  });

  test("keeps the conversation of chat(), the system message first", async () => {
    const { model, addon } = createFakeModel();
    const session = model.createSession({ system: "be brief" });
    const first = await session.chat("hi", { maxTokens: 4, ignoreEos: true }).result;
    expect(session.messages).toEqual([
      { role: "system", content: "be brief" },
      { role: "user", content: "hi" },
      { role: "assistant", content: first.text },
    ]);
    addon.controls.batches.length = 0;
    const second = await session.chat("more", { maxTokens: 4, ignoreEos: true }).result;
    expect(second.reusedTokens).toBeGreaterThan(20);
    expect(session.messages).toHaveLength(5);
  });

  test("forgets a question whose answer failed", async () => {
    const { model } = createFakeModel();
    const session = model.createSession();
    await session.chat("hi", { signal: AbortSignal.abort() }).result.catch(() => undefined);
    expect(session.messages).toEqual([]);
  });

  test("rejects a generation with AIR_ERR_CLOSED when it is closed, frees its pages, and stays closed", async () => {
    const { model } = createFakeModel();
    const session = model.createSession();
    const { result } = session.generate(prompt, { ignoreEos: true });
    await tick();
    session.close();
    session.close();
    await expect(result).rejects.toMatchObject({ code: "AIR_ERR_CLOSED" });
    expect(model.stats.freePages).toBe(model.stats.usablePages);
    expect(() => session.generate("a")).toThrow(expect.objectContaining({ code: "AIR_ERR_CLOSED" }));
    expect(() => session.chat("a")).toThrow(expect.objectContaining({ code: "AIR_ERR_CLOSED" }));
  });
});

describe("Model", () => {
  test("closes its sessions and, once the step in flight is over, every native handle", async () => {
    const { model, addon } = createFakeModel();
    const sessions = [model.createSession(), model.createSession()];
    const results = sessions.map((session) => session.generate(prompt, { ignoreEos: true }).result);
    await tick();
    model.close();
    expect(addon.controls.openHandles()).toBe(3);
    for (const result of results) await expect(result).rejects.toMatchObject({ code: "AIR_ERR_CLOSED" });
    await tick();
    expect(addon.controls.openHandles()).toBe(0);
    expect(addon.controls.closesInFlight).toBe(0);
    expect(() => sessions[0]?.generate("a")).toThrow(expect.objectContaining({ code: "AIR_ERR_CLOSED" }));
    expect(() => model.createSession()).toThrow(expect.objectContaining({ code: "AIR_ERR_CLOSED" }));
    await expect(model.evaluate(Int32Array.of(1), { onRow: () => undefined })).rejects.toMatchObject({
      code: "AIR_ERR_CLOSED",
    });
    model.close();
  });

  test("can be disposed of with using", async () => {
    const { model, addon } = createFakeModel();
    {
      using inner = model;
      using session = inner.createSession();
      await session.generate("a", { maxTokens: 2 }).result;
    }
    await tick();
    expect(addon.controls.openHandles()).toBe(0);
  });

  test("reports its memory", () => {
    const { model } = createFakeModel({ kvTokens: 64, pageTokens: 16 });
    expect(model.memory()).toMatchObject({ weightBytes: 1000, mappedBytes: 100, kvBytes: 5 * 16 * 12 });
    expect(model.memory().workspaceBytes).toBeGreaterThan(10);
  });

  test("lets the other sessions go on when one runs out of pages", async () => {
    const { model } = createFakeModel({ contextTokens: 256, kvTokens: 64 });
    const long = model.createSession().generate("a".repeat(100));
    const short = model.createSession().generate(prompt, { maxTokens: 5, ignoreEos: true });
    await expect(long.result).rejects.toMatchObject({ code: "AIR_ERR_KV_EXHAUSTED" });
    expect((await short.result).tokens).toHaveLength(5);
  });

  test("evaluates tokens without generating: rows in order, from logitsFrom on", async () => {
    const { model } = createFakeModel({ maxBatchTokens: 8 });
    const tokens = encodeCharacters(prompt.slice(0, 30));
    const rows: number[] = [];
    await model.evaluate(tokens, {
      logitsFrom: 3,
      onRow: (row, index) => {
        expect(row).toHaveLength(model.info.vocabSize);
        rows.push(index);
      },
    });
    expect(rows).toEqual(Array.from({ length: 27 }, (_, index) => index + 3));
    expect(model.stats.freePages).toBe(model.stats.usablePages);
    await expect(model.evaluate(tokens, { logitsFrom: 30, onRow: () => undefined })).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
    });
    await expect(model.evaluate(new Int32Array(300), { onRow: () => undefined })).rejects.toMatchObject({
      code: "AIR_ERR_CONTEXT",
    });
  });

  test("stops an evaluation on abort", async () => {
    const { model } = createFakeModel({ maxBatchTokens: 8 });
    const controller = new AbortController();
    const evaluation = model.evaluate(encodeCharacters(prompt), {
      onRow: (_row, index) => {
        if (index === 8) controller.abort();
      },
      signal: controller.signal,
    });
    await expect(evaluation).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
  });

  test("ends a text at once when the first token ends it", async () => {
    const { model } = createFakeModel();
    const generation = model.createSession().generate("a", { logitBias: { [eosId]: 100 } });
    for await (const chunk of generation) expect.unreachable(chunk.text);
    expect((await generation.result).finishReason).toBe("stop");
  });
});
