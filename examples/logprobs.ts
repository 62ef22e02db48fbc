// How sure the model was of each token, and what else it considered: npx tsx examples/logprobs.ts
import { fileURLToPath } from "node:url";

import { loadModel } from "../lib/index.js";

const path = fileURLToPath(new URL("../models/air-tiny-chat-q4_0.gguf", import.meta.url));

using model = await loadModel(path);
using session = model.createSession();
const { tokens, logprobs = [] } = await session.chat("What is 6 times 7?", { maxTokens: 32, logprobs: 3 })
  .result;
for (const [i, token] of tokens.entries()) {
  const entry = logprobs[i];
  const others = entry?.top.map(
    (one) => `${JSON.stringify(model.tokenizer.decode([one.token]))} ${one.logprob.toFixed(2)}`,
  );
  console.log(JSON.stringify(model.tokenizer.decode([token])).padEnd(12), others?.join("   "));
}
