/** Texts that are longer than the memory for their keys and values, on the bundled models and the built addon. */
import { describe, expect, test } from "vitest";

import { evalPrompts } from "../support/speculation-equality.js";
import { drafting, expectSameTexts, loadWindowed } from "../support/window-texts.js";

const prompts = [evalPrompts(10).join("\n"), evalPrompts(200).slice(60, 66).join("\n")] as const;

describe("a window with sinks", () => {
  test("leaves texts as they are with guesses, in smaller steps and beside another text", async () => {
    await expectSameTexts([...prompts], { maxTokens: 64 });
  }, 240_000);

  test("bounds the pages and the work of a draft model too", async () => {
    using model = await loadWindowed();
    const { usablePages } = model.stats;
    // Sinks; window, 16 tokens to take back and a chunk of 128; a page for where they begin.
    expect(usablePages).toBe(1 + Math.ceil((100 + 16 + 128) / 16) + 1);
    expect(model.stats.draft?.usablePages).toBe(usablePages);
    using session = model.createSession();
    const sampled = { temperature: 0.8, seed: 5, ignoreEos: true } as const;
    const speculation = drafting("draft-model", 3);
    const { speculative, promptTokens, tokens } = await session.generate(prompts[1], {
      ...sampled,
      maxTokens: 200,
      speculation,
    }).result;
    // Each token of the text once, and every wrong guess.
    const guesses = speculative?.drafted ?? 0;
    expect(guesses).toBeGreaterThan(200);
    expect(model.stats.draft?.computedTokens).toBeLessThan(promptTokens + tokens.length + guesses);
  });
});
