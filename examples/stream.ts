// Streams an answer and stops early on Ctrl-C: npx tsx examples/stream.ts [model.gguf] ["prompt"]
import { fileURLToPath } from "node:url";

import { AirError, loadModel } from "../lib/index.js";

const bundled = fileURLToPath(new URL("../models/air-tiny-chat-q4_0.gguf", import.meta.url));
const [path = bundled, prompt = "What is the capital of France?"] = process.argv.slice(2);
const controller = new AbortController();
process.once("SIGINT", () => {
  controller.abort();
});

using model = await loadModel(path);
using session = model.createSession();
try {
  const answer = session.chat(prompt, { maxTokens: 128, signal: controller.signal });
  for await (const { text } of answer) process.stdout.write(text);
  const { finishReason, timings } = await answer.result;
  console.log(`\n[${finishReason}, ${timings.decodeTokensPerSecond.toFixed(1)} tokens/s]`);
} catch (error) {
  if (!(error instanceof AirError) || error.code !== "AIR_ERR_CANCELLED") throw error;
  console.log("\n[stopped]");
}
