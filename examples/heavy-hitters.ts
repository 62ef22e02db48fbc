// An eviction policy of your own: instead of the newest tokens, keep the pages that the text looks at (after H2O, arXiv
// 2306.14048). A budget of 256 tokens for a text of any length. npx tsx examples/heavy-hitters.ts
import { fileURLToPath } from "node:url";

import { type EvictionPolicy, loadModel } from "../lib/index.js";

/**
 * Drops the pages that the last token paid the least attention to, but never the first page, which holds the attention
 * sinks, nor the two newest full ones.
 */
export function heavyHitters(budgetTokens: number): EvictionPolicy {
  return {
    name: `heavy hitters ${budgetTokens}`,
    usesPageMass: true,
    decide: ({ cachedTokens, incomingTokens, pageTokens, pageMass }) => {
      const fullPages = Math.floor(cachedTokens / pageTokens);
      const excess = Math.ceil((cachedTokens + Math.min(incomingTokens, 1) - budgetTokens) / pageTokens);
      const candidates = Array.from({ length: Math.max(0, fullPages - 3) }, (_, index) => index + 1);
      const dropPages = candidates
        .sort((a, b) => (pageMass[a] ?? 0) - (pageMass[b] ?? 0))
        .slice(0, Math.max(0, excess))
        .sort((a, b) => a - b);
      return { dropPages, sinkTokens: 0, windowTokens: 0 };
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = fileURLToPath(new URL("../models/air-tiny-chat-q4_0.gguf", import.meta.url));
  using model = await loadModel(path, {
    contextTokens: 65_536,
    kvTokens: 256 + 128, // the budget, and a chunk of a prompt
    maxBatchTokens: 128,
    policy: heavyHitters(256),
  });
  using session = model.createSession();
  const options = { maxTokens: 2000, temperature: 1, seed: 1, ignoreEos: true };
  const { tokens } = await session.generate("Once there was a program that", options).result;
  const { usablePages, freePages } = model.stats;
  console.log(`${tokens.length} tokens in ${usablePages - freePages} pages of 32`);
}
