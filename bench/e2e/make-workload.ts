/**
 * Writes bench/e2e/workload.jsonl: 200 prompts, 60% simple, 30% demanding and 10% hard, none of which the router was trained
 * on, in a fixed random order.
 *
 *   npx tsx bench/e2e/make-workload.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { stdout } from "node:process";

import { uniform } from "../../lib/util/rng.js";

interface Labelled {
  readonly prompt: string;
  readonly tier: number;
}

const read = (name: string): readonly string[] =>
  readFileSync(new URL(name, import.meta.url), "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "");

const unseen = [...read("../router/unseen.jsonl"), ...read("../router/unseen-late.jsonl")].map(
  (line) => JSON.parse(line) as Labelled,
);
const simple = read("workload-simple.txt").map((prompt): Labelled => ({ prompt, tier: 0 }));
const all = [...simple, ...unseen].filter(({ prompt }) => typeof prompt === "string");
const counts = [120, 60, 20];

/** Items in a random order that the seed fixes. */
function shuffled<Item>(items: readonly Item[], seed: number): readonly Item[] {
  return items
    .map((item, index) => ({ item, key: uniform(seed, index, "sample") }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

const chosen = counts.flatMap((count, tier) =>
  shuffled(
    all.filter((prompt) => prompt.tier === tier),
    tier + 1,
  ).slice(0, count),
);
const lines = shuffled(chosen, 7).map(({ prompt, tier }) => JSON.stringify({ prompt, tier }));
writeFileSync(new URL("workload.jsonl", import.meta.url), `${lines.join("\n")}\n`);
stdout.write(`${lines.length} prompts\n`);
