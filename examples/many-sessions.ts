// Several conversations at once over one model: they share weights, KV pages and steps, and each answer is the one
// it would get alone. npx tsx examples/many-sessions.ts
import { fileURLToPath } from "node:url";

import { loadModel } from "../lib/index.js";

const path = fileURLToPath(new URL("../models/air-tiny-chat-q4_0.gguf", import.meta.url));
const questions = ["What is 7 times 8?", "What is the capital of Italy?", "What does CPU stand for?"];

using model = await loadModel(path, { contextTokens: 256, kvTokens: 256 * questions.length });

async function answer(question: string): Promise<string> {
  using session = model.createSession();
  const { text } = await session.chat(question, { maxTokens: 64 }).result;
  return text;
}

const answers = await Promise.all(questions.map(answer));
for (const [i, question] of questions.entries()) console.log(`${question}  ${answers[i] ?? ""}`);
