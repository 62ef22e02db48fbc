/** How long the shipped router takes a prompt: npx tsx bench/router/latency.ts */
import type { RoutedPrompt } from "../../lib/routing/complexity.js";
import { loadRouter } from "../../lib/routing/linear-classifier.js";
import { expandFamilies } from "./expand.js";
import { allFamilies } from "./prompts/all.js";

const rounds = 3000;
const clues =
  "Our distributed lock sometimes grants twice and the replica lags behind. What do we do first, and why? ";

const cases: Readonly<Record<string, readonly RoutedPrompt[]>> = {
  "training prompts": expandFamilies(allFamilies).map(({ prompt }) => prompt),
  "prose, 100,000 characters": [clues.repeat(970)],
  "code, 100,000 characters": [
    "```js\nconst total = items.map((item) => item.price); // why\n```\n".repeat(1500),
  ],
  "one word, 100,000 characters": ["a".repeat(100_000)],
  "short lines, 100,000 characters": ["why?\n".repeat(20_000)],
};

const router = await loadRouter();
for (const [name, prompts] of Object.entries(cases)) {
  const micros = Array.from({ length: rounds }, (_, round) => {
    const prompt = prompts[round % prompts.length] ?? "";
    const start = performance.now();
    router.classify(prompt);
    return (performance.now() - start) * 1000;
  })
    .slice(rounds / 6) // the first ones compile
    .sort((a, b) => a - b);
  const at = (share: number): string =>
    (micros[Math.floor(share * micros.length)] ?? 0).toFixed(0).padStart(6);
  console.log(`${name.padEnd(32)} median ${at(0.5)} us   p99 ${at(0.99)} us`);
}
