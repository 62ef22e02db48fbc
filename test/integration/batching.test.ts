/** Texts of the bundled chat model alone, and among 16 others that come, share steps and pages, and go. */
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type GenerateOptions, type LoadModelOptions, loadModel, type Model } from "../../lib/index.js";

const chatModel = fileURLToPath(new URL("../../models/air-tiny-chat-q4_0.gguf", import.meta.url));
const draftModel = fileURLToPath(new URL("../../models/air-tiny-chat-draft-q8_0.gguf", import.meta.url));
const questions = [
  "What is the capital of France?",
  "Write a function that reverses a string.",
  "Turn on the lamp in the kitchen.",
  "What is 12 times 7?",
  "one two three four ".repeat(40),
  "Tell me a short story about a server that answers many requests at once.",
];
const greedy: GenerateOptions = { maxTokens: 40, ignoreEos: true };
const seeded: GenerateOptions = { ...greedy, temperature: 0.8, topP: 0.95, seed: 11 };

async function textOf(model: Model, prompt: string, options: GenerateOptions): Promise<string> {
  using session = model.createSession();
  return (await session.generate(prompt, options).result).text;
}

/** Sixteen generations of several users and priorities; some are stopped, some run into their deadline. */
async function load(model: Model, speculation: "auto" | "off"): Promise<void> {
  const other = async (index: number): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, (index % 4) * 5));
    const prompt = `${index}. ${questions[index % questions.length] ?? ""} ${"and so on ".repeat((index * 7) % 30)}`;
    const stops = index % 5 === 4;
    const hurries = index % 7 === 6;
    const result = textOf(model, prompt, {
      maxTokens: 20 + index,
      seed: index,
      temperature: (index % 3) * 0.5,
      priority: (index % 3) - 1,
      user: `user ${index % 4}`,
      speculation,
      ...(stops && { signal: AbortSignal.timeout(20 + index) }),
      ...(hurries && { timeoutMs: 15 + index }),
    });
    const isEarly = (error: unknown): void => {
      if (!stops && !hurries) throw error;
      expect(error).toMatchObject({ code: stops ? "AIR_ERR_CANCELLED" : "AIR_ERR_TIMEOUT" });
    };
    await result.catch(isEarly);
  };
  await Promise.all(Array.from({ length: 16 }, (_, index) => other(index)));
}

const settings: readonly (readonly [string, LoadModelOptions, "auto" | "off"])[] = [
  ["without speculation", {}, "off"],
  ["with n-gram lookup", {}, "auto"],
  ["with a draft model", { draft: draftModel }, "auto"],
  ["without speculation, short of pages", { kvTokens: 768 }, "off"],
  ["with a draft model, short of pages", { draft: draftModel, kvTokens: 768 }, "auto"],
  ["without a limit for prompts", { stepStretch: Infinity }, "off"],
];

describe.each(settings)("texts %s", (_, options, speculation) => {
  let model: Model;
  beforeAll(async () => {
    const roomy = { contextTokens: 512, kvTokens: 8192, maxBatchTokens: 96, stepStretch: 1.5 };
    model = await loadModel(chatModel, { ...roomy, ...options });
  });
  afterAll(() => {
    model.close();
  });

  test.each([
    ["greedy", greedy],
    ["seeded", seeded],
  ])("are the same alone and among 16 others: %s", async (_name, how) => {
    const alone: string[] = [];
    for (const question of questions)
      alone.push(await textOf(model, question, { ...how, speculation: "off" }));
    const others = load(model, speculation);
    const among = Promise.all(
      questions.map((question, index) =>
        textOf(model, question, { ...how, speculation, user: `asker ${index % 2}`, priority: index % 2 }),
      ),
    );
    expect(await among).toEqual(alone);
    await others;
    expect(model.stats.freePages).toBe(model.stats.usablePages);
  });
});

describe("a deadline", () => {
  test("ends a generation with AIR_ERR_TIMEOUT and leaves the session usable", async () => {
    using model = await loadModel(chatModel, { contextTokens: 2048 });
    using session = model.createSession();
    const prompt = questions[4] ?? "";
    const { result } = session.generate(prompt, { timeoutMs: 1, ignoreEos: true });
    await expect(result).rejects.toMatchObject({ code: "AIR_ERR_TIMEOUT" });
    const text = (await session.generate(prompt, { ...greedy, timeoutMs: 60_000 }).result).text;
    expect(text).toBe(await textOf(model, prompt, greedy));
  });
});
