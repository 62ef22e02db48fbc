// The same text with and without a draft model, and what the guesses were worth: npx tsx examples/speculation.ts
import { fileURLToPath } from "node:url";

import { loadModel } from "../lib/index.js";

const file = (name: string): string => fileURLToPath(new URL(`../models/${name}`, import.meta.url));

using model = await loadModel(file("air-tiny-large-q4_0.gguf"), { draft: file("air-tiny-draft-q8_0.gguf") });

const prompt = "The SELECT statement is used to";
for (const speculation of ["off", "auto", { maxDraftTokens: 4, adaptive: false }] as const) {
  using session = model.createSession();
  const { text, speculative } = await session.generate(prompt, { maxTokens: 64, speculation }).result;
  console.log(`${JSON.stringify(speculation)}:\n${text}\n`);
  if (speculative !== undefined) {
    const { drafted, accepted, meanAcceptanceLength } = speculative;
    console.log(
      `${accepted} of ${drafted} guesses accepted, ${meanAcceptanceLength.toFixed(2)} tokens a step\n`,
    );
  }
}
