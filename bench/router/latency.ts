/** How long the shipped router takes a prompt: npx tsx bench/router/latency.ts */
import type { RoutedPrompt } from "../../lib/routing/complexity.js";
import { loadRouter } from "../../lib/routing/linear-classifier.js";
import { expandFamilies } from "./expand.js";
import { allFamilies } from "./prompts/all.js";

const rounds = 3000;
const repeats = 5;
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

function microsOf(prompt: RoutedPrompt): number {
  const start = performance.now();
  router.classify(prompt);
  return (performance.now() - start) * 1000;
}

function at(share: number, micros: readonly number[]): string {
  const sorted = [...micros].sort((a, b) => a - b);
  return (sorted[Math.floor(share * sorted.length)] ?? 0).toFixed(0).padStart(6);
}

for (const [name, prompts] of Object.entries(cases)) {
  const chosen = Array.from({ length: rounds }, (_, round) => prompts[round % prompts.length] ?? "");
  for (const prompt of chosen.slice(0, rounds / 6)) microsOf(prompt); // the first ones compile
  const single = chosen.map(microsOf);
  // What other programs take of the core is not in the fastest of several.
  const fastest = chosen.map((prompt) =>
    Math.min(...Array.from({ length: repeats }, () => microsOf(prompt))),
  );
  console.log(
    `${name.padEnd(32)} median ${at(0.5, single)} us   p99 ${at(0.99, single)} us   ` +
      `p99 of the fastest of ${repeats} ${at(0.99, fastest)} us`,
  );
}
