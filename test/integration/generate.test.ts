import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type GenerationResult, loadModel, type Model } from "../../lib/index.js";

const file = (name: string): string => fileURLToPath(new URL(`../../models/${name}`, import.meta.url));
const textModel = file("air-tiny-large-q4_0.gguf");

const prompts = [
  "A generator function in Python is a function that",
  "The SELECT statement",
  "import { readFile } from",
  "def reverse(text):\n    ",
  "The",
  "To install the package, run the following command in a terminal. Then open the settings and",
];
const sampled = { maxTokens: 40, temperature: 1, topP: 0.95, seed: 7 } as const;

async function generateAlone(model: Model, prompt: string): Promise<GenerationResult> {
  using session = model.createSession();
  return await session.generate(prompt, sampled).result;
}

describe("a request's text", () => {
  let alone: string[];

  beforeAll(async () => {
    using model = await loadModel(textModel, { threads: 1 });
    alone = [];
    for (const prompt of prompts) alone.push((await generateAlone(model, prompt)).text);
    expect(new Set(alone).size).toBe(prompts.length);
  });

  test.each([
    ["beside the others in every step", { threads: 2, kvTokens: 4096 }],
    ["with prompts cut into chunks of 3 tokens", { threads: 2, maxBatchTokens: 3, kvTokens: 4096 }],
    ["with pages of 16 tokens", { threads: 2, pageTokens: 16, kvTokens: 4096 }],
    [
      "with pages for two texts only, so that runs wait and are preempted",
      { contextTokens: 128, kvTokens: 128 },
    ],
  ] as const)("is the same %s", async (_, options) => {
    using model = await loadModel(textModel, options);
    const together = await Promise.all(prompts.map((prompt) => generateAlone(model, prompt)));
    expect(together.map(({ text }) => text)).toEqual(alone);
    expect(model.stats.freePages).toBe(model.stats.usablePages);
  });

  test("is the same when the session already holds another text with the same beginning", async () => {
    using model = await loadModel(textModel);
    using session = model.createSession();
    const [first, second] = [`${prompts[5] ?? ""} then`, prompts[5] ?? ""];
    await session.generate(first, sampled).result;
    expect((await session.generate(second, sampled).result).text).toBe(alone[5]);
  });
});

describe("generate", () => {
  let model: Model;

  beforeAll(async () => {
    model = await loadModel(textModel, { contextTokens: 1024 });
  });
  afterAll(() => {
    model.close();
  });

  test("streams the text that the result holds", async () => {
    using session = model.createSession();
    const generation = session.generate("The function", { maxTokens: 20 });
    let streamed = "";
    for await (const { text } of generation) streamed += text;
    const { text, tokens, finishReason } = await generation.result;
    expect(streamed).toBe(text);
    expect(tokens.length).toBe(20);
    expect(finishReason).toBe("length");
  });

  test("logprobs are of the model's distribution: the greedy token leads and all sum to at most 1", async () => {
    using session = model.createSession();
    const { tokens, logprobs } = await session.generate("The function", { maxTokens: 5, logprobs: 3 }).result;
    expect(logprobs?.length).toBe(5);
    for (const [index, { logprob, top }] of (logprobs ?? []).entries()) {
      expect(top[0]?.token).toBe(tokens[index]);
      expect(top[0]?.logprob).toBe(logprob);
      const mass = top.reduce((sum, one) => sum + Math.exp(one.logprob), 0);
      expect(mass).toBeGreaterThan(0);
      expect(mass).toBeLessThanOrEqual(1 + 1e-6);
    }
  });

  test("control tokens in a prompt are text unless asked for", async () => {
    const prompt = "<|user|>\nWhat is 12 times 7?<|end|>\n<|assistant|>\n";
    using chat = await loadModel(file("air-tiny-chat-q4_0.gguf"));
    using session = chat.createSession();
    const templated = await session.generate([{ role: "user", content: "What is 12 times 7?" }]).result;
    const special = await session.generate(prompt, { special: true }).result;
    const plain = await session.generate(prompt, { maxTokens: 1 }).result;
    expect(special).toMatchObject({ text: "12 times 7 is 84.", promptTokens: templated.promptTokens });
    expect(plain.promptTokens).toBeGreaterThan(special.promptTokens);
    const withBos = await session.generate(`<|bos|>${prompt}`, { special: true }).result;
    expect(withBos.promptTokens).toBe(special.promptTokens);
  });

  test("a token that the bias forbids never comes", async () => {
    using session = model.createSession();
    const { tokens } = await session.generate("The function", { maxTokens: 10 }).result;
    const forbidden = tokens[0] ?? 0;
    using other = model.createSession();
    const biased = await other.generate("The function", {
      maxTokens: 10,
      logitBias: { [forbidden]: -Infinity },
    }).result;
    expect(biased.tokens).not.toContain(forbidden);
  });

  test("an abort during prefill rejects at once and leaves the pages whole", async () => {
    const long = prompts.join(" ").repeat(12);
    using session = model.createSession();
    const controller = new AbortController();
    const reason = new Error("enough");
    const generation = session.generate(long, { signal: controller.signal });
    setTimeout(() => {
      controller.abort(reason);
    }, 2);
    await expect(generation.result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED", cause: reason });
    session.close();
    expect(model.stats.freePages).toBe(model.stats.usablePages);
  });

  test("closing the model during a generation rejects it and nothing crashes", async () => {
    const closing = await loadModel(textModel);
    const session = closing.createSession();
    const other = session.generate("The function", { ignoreEos: true });
    setTimeout(() => {
      closing.close();
    }, 20);
    await expect(other.result).rejects.toMatchObject({ code: "AIR_ERR_CLOSED" });
    expect(() => closing.createSession()).toThrow(expect.objectContaining({ code: "AIR_ERR_CLOSED" }));
  });
});
