/** Texts that are far longer than the memory for their keys and values, on the bundled models and the built addon. */
import { afterEach, describe, expect, test } from "vitest";

import { type GenerateOptions, loadModel, type LoadModelOptions, type Model } from "../../lib/index.js";
import { evalPrompts, modelFile } from "../support/speculation-equality.js";

const target = modelFile("air-tiny-chat-q4_0.gguf");
const draft = modelFile("air-tiny-chat-draft-q8_0.gguf");
/** Neither is a multiple of a page. */
const window = { window: 100, sinks: 5, pageTokens: 16 };
/** Many windows long, and several steps. */
const prompts = [evalPrompts(50).join("\n"), evalPrompts(200).slice(60, 100).join("\n")] as const;
const manners: readonly GenerateOptions[] = [
  {},
  { repetitionPenalty: 1.3 },
  { temperature: 0.8, topP: 0.95, seed: 5 },
];

const loaded: Model[] = [];
async function load(options: LoadModelOptions): Promise<Model> {
  const model = await loadModel(target, { ...window, ...options });
  loaded.push(model);
  return model;
}
afterEach(() => {
  for (const model of loaded.splice(0)) model.close();
});

async function tokensOf(model: Model, prompt: string, options: GenerateOptions): Promise<readonly number[]> {
  using session = model.createSession();
  return (await session.generate(prompt, { maxTokens: 2100, ignoreEos: true, ...options }).result).tokens;
}

const drafting = (proposer: "ngram" | "draft-model", maxDraftTokens: number) =>
  ({ proposers: [proposer], maxDraftTokens, adaptive: false }) as const;

describe("a window with sinks", () => {
  test("leaves texts of 20 windows as they are with guesses, in smaller steps and beside another text", async () => {
    const model = await load({ draft, kvTokens: 1024 });
    const small = await load({ maxBatchTokens: 64 });
    expect(model.tokenizer.encode(prompts[0]).length).toBeGreaterThan(10 * window.window);
    for (const manner of manners) {
      const plain = { ...manner, speculation: "off" } as const;
      const expected: (readonly number[])[] = [];
      for (const prompt of prompts) expected.push(await tokensOf(model, prompt, plain));
      for (const speculation of [drafting("ngram", 5), drafting("draft-model", 3), "auto"] as const) {
        expect(await tokensOf(model, prompts[0], { ...manner, speculation })).toEqual(expected[0]);
      }
      const together = prompts.map((prompt) => tokensOf(model, prompt, manner));
      expect(await Promise.all(together)).toEqual(expected);
      expect(await tokensOf(small, prompts[1], plain)).toEqual(expected[1]);
      expect(await tokensOf(small, prompts[1], { ...plain, speculation: drafting("ngram", 5) })).toEqual(
        expected[1],
      );
    }
  }, 240_000);
});
