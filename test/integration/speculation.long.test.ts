/** Greedy equality over all of the prompts: 200 texts, each with 16 ways to draft. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { loadModel, type Model } from "../../lib/index.js";
import { draftings, evalPrompts, greedyTokens, modelFile } from "../support/speculation-equality.js";

describe("greedy text of 200 prompts", () => {
  const prompts = evalPrompts(200);
  const maxTokens = 48;
  let model: Model;
  let expected: readonly (readonly number[])[];

  beforeAll(async () => {
    model = await loadModel(modelFile("air-tiny-large-q4_0.gguf"), {
      draft: modelFile("air-tiny-draft-q8_0.gguf"),
    });
    const texts: (readonly number[])[] = [];
    for (const prompt of prompts) texts.push(await greedyTokens(model, prompt, maxTokens));
    expected = texts;
  });
  afterAll(() => {
    model.close();
  });

  test.each(draftings)("is the same with $maxDraftTokens tokens of $proposer", async (drafting) => {
    expect(prompts).toHaveLength(200);
    for (const [index, prompt] of prompts.entries()) {
      expect(await greedyTokens(model, prompt, maxTokens, drafting)).toEqual(expected[index]);
    }
  });
});
