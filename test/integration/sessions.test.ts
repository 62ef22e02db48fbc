/** Sessions of the bundled chat model on the built addon: what the fake of the unit tests cannot show. */
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type GenerateOptions, loadModel, type Model } from "../../lib/index.js";

const chatModel = fileURLToPath(new URL("../../models/air-tiny-chat-q4_0.gguf", import.meta.url));
const prompts = [
  "What is the capital of France?",
  "Write a function that reverses a string.",
  "one two three four ".repeat(30),
  "Turn on the lamp in the kitchen.",
];
const options: GenerateOptions = { maxTokens: 96, temperature: 0.8, seed: 3, ignoreEos: true };

let model: Model;
beforeAll(async () => {
  // Pages for the prompts and a bit more, so that runs wait and are preempted as they grow.
  model = await loadModel(chatModel, {
    contextTokens: 256,
    kvTokens: 256,
    pageTokens: 16,
    maxBatchTokens: 48,
  });
});
afterAll(() => {
  model.close();
});

async function textOf(prompt: string): Promise<string> {
  using session = model.createSession();
  return (await session.generate(prompt, options).result).text;
}

describe("sessions on the native engine", () => {
  test("give their solo text when they share steps and run out of pages", async () => {
    const together = await Promise.all(prompts.map(textOf));
    const alone: string[] = [];
    for (const prompt of prompts) alone.push(await textOf(prompt));
    expect(together).toEqual(alone);
    expect(model.stats.preemptions).toBeGreaterThan(0);
    expect(model.stats.freePages).toBe(model.stats.usablePages);
  });

  test("answer in a conversation, reusing its K/V", async () => {
    using session = model.createSession();
    const first = await session.chat("What is 12 times 7?", { maxTokens: 24 }).result;
    expect(first.text).toContain("84");
    const second = await session.chat("What is the capital of France?", { maxTokens: 24 }).result;
    expect(second.text).toContain("Paris");
    expect(second.reusedTokens).toBeGreaterThan(first.promptTokens);
  });

  test("stop a native step in the middle when aborted, and go on with the same text", async () => {
    const [, , prompt = ""] = prompts;
    const expected = await textOf(prompt);
    using session = model.createSession();
    for (const delayMs of [0, 1, 2, 5, 10, 20]) {
      const { result } = session.generate(prompt, { ...options, signal: AbortSignal.timeout(delayMs) });
      await result.catch((error: unknown) => {
        expect(error).toMatchObject({ code: "AIR_ERR_CANCELLED" });
      });
    }
    expect((await session.generate(prompt, options).result).text).toBe(expected);
  });

  test("leave every page free and memory flat after 200 aborted generations", async () => {
    let aborted = 0;
    const cycle = async (index: number): Promise<void> => {
      using session = model.createSession();
      const controller = new AbortController();
      const { result } = session.generate(prompts[index % prompts.length] ?? "", {
        ...options,
        maxTokens: 120, // longer than the longest wait before the abort
        signal: controller.signal,
      });
      setTimeout(() => {
        controller.abort();
      }, index % 5);
      await result.then(
        () => undefined, // on a machine that is busy enough, timers come late
        (error: unknown) => {
          expect(error).toMatchObject({ code: "AIR_ERR_CANCELLED" });
          aborted += 1;
        },
      );
    };
    for (let index = 0; index < 50; index += 1) await cycle(index);
    const rssBefore = process.memoryUsage.rss();
    for (let index = 0; index < 150; index += 1) await cycle(index);
    // The allowance is for the garbage collector.
    expect(process.memoryUsage.rss() - rssBefore).toBeLessThan(24 * 2 ** 20);
    expect(aborted).toBeGreaterThan(150);
    expect(model.stats.freePages).toBe(model.stats.usablePages);
  });
});
