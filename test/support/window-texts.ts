import { expect } from "vitest";

import { type GenerateOptions, loadModel, type LoadModelOptions, type Model } from "../../lib/index.js";
import { modelFile } from "./speculation-equality.js";

const target = modelFile("air-tiny-chat-q4_0.gguf");
const draft = modelFile("air-tiny-chat-draft-q8_0.gguf");

/** Neither is a multiple of a page. */
export const windowOptions = { window: 100, sinks: 5, pageTokens: 16 } as const;

/** The bundled chat model under a window, and its draft model too. */
export function loadWindowed(options: LoadModelOptions = {}): Promise<Model> {
  return loadModel(target, { ...windowOptions, draft, ...options });
}

/** Drafts of one proposer and fixed length. */
export const drafting = (proposer: "ngram" | "draft-model", maxDraftTokens: number) =>
  ({ proposers: [proposer], maxDraftTokens, adaptive: false }) as const;

async function tokensOf(model: Model, prompt: string, options: GenerateOptions): Promise<readonly number[]> {
  using session = model.createSession();
  return (await session.generate(prompt, { ignoreEos: true, ...options }).result).tokens;
}

/** Two texts of `options`: plainly, with every way to guess, in steps of 64 tokens, and beside each other. */
export async function expectSameTexts(
  prompts: readonly [string, string],
  options: GenerateOptions,
): Promise<void> {
  using model = await loadWindowed({ kvTokens: 1024 });
  using small = await loadWindowed({ maxBatchTokens: 64 });
  const plain = { ...options, speculation: "off" } as const;
  const expected = [await tokensOf(model, prompts[0], plain), await tokensOf(model, prompts[1], plain)];
  for (const speculation of [drafting("ngram", 5), drafting("draft-model", 3), "auto"] as const) {
    expect(await tokensOf(model, prompts[0], { ...options, speculation })).toEqual(expected[0]);
  }
  const together = prompts.map((prompt) => tokensOf(model, prompt, options));
  expect(await Promise.all(together)).toEqual(expected);
  expect(await tokensOf(small, prompts[1], plain)).toEqual(expected[1]);
  const guessed = { ...options, speculation: drafting("ngram", 5) };
  expect(await tokensOf(small, prompts[1], guessed)).toEqual(expected[1]);
}
