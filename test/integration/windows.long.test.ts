import { describe, expect, test } from "vitest";

import { evalPrompts } from "../support/speculation-equality.js";
import { expectSameTexts, loadWindowed, windowOptions } from "../support/window-texts.js";

const prompts = [evalPrompts(50).join("\n"), evalPrompts(200).slice(60, 100).join("\n")] as const;

describe("texts of 20 windows and more", () => {
  test("begin with prompts of many windows", async () => {
    using model = await loadWindowed();
    for (const prompt of prompts)
      expect(model.tokenizer.encode(prompt).length).toBeGreaterThan(8 * windowOptions.window);
  });

  test.each([{}, { repetitionPenalty: 1.3 }, { temperature: 0.8, topP: 0.95, seed: 5 }])(
    "are the same with guesses, in smaller steps and beside another text (%o)",
    (options) => expectSameTexts([...prompts], { maxTokens: 2100, ...options }),
  );
});
