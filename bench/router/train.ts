/**
 * Trains the shipped router: npx tsx bench/router/train.ts [--write]. Prints how it does on held-out families and
 * topics, and on prompts that were written for testing only; with --write, stores models/router.json.
 */
import { readFileSync, writeFileSync } from "node:fs";

import { evaluateRouter, type RouterEvaluation } from "../../lib/routing/evaluation.js";
import { type LabelledPrompt, parseLabelledPrompts } from "../../lib/routing/example-file.js";
import { LinearClassifier } from "../../lib/routing/linear-classifier.js";
import { formatRouterFile, packRouter, type RouterFile } from "../../lib/routing/router-file.js";
import { trainRouter } from "../../lib/routing/training.js";
import { expandFamilies } from "./expand.js";
import { allFamilies } from "./prompts/all.js";
import { splitPrompts } from "./split.js";

const parts = [0, 1, 2, 3];

function trained(examples: readonly LabelledPrompt[]): RouterFile {
  return packRouter(trainRouter(examples));
}

function evaluate(file: RouterFile, examples: readonly LabelledPrompt[]): RouterEvaluation {
  const classifier = new LinearClassifier(file);
  const judged = examples.map(({ prompt, tier }) => ({ tier, complexity: classifier.classify(prompt) }));
  return evaluateRouter(judged, classifier.thresholds);
}

function line(name: string, result: RouterEvaluation): string {
  const percent = (value: number | null): string => (value === null ? "-" : (value * 100).toFixed(1));
  return [
    name.padEnd(28),
    `${result.prompts} prompts`,
    `accuracy ${percent(result.accuracy)}`,
    `recalls ${result.recalls.map(percent).join(" ")}`,
    `under ${percent(result.underRouted)}`,
    `over ${percent(result.overRouted)}`,
    `ECE ${result.calibrationError.toFixed(3)}`,
  ].join("  ");
}

const prompts = expandFamilies(allFamilies);
console.log(`${prompts.length} prompts of ${allFamilies.length} families`);
for (const part of parts) {
  const split = splitPrompts(prompts, part);
  const file = trained(split.train);
  console.log(line(`split ${part}: families`, evaluate(file, split.heldOutFamilies)));
  console.log(line(`split ${part}: topics`, evaluate(file, split.heldOutTopics)));
}
const file = trained(prompts);
console.log(`thresholds ${file.thresholds.join(" ")}`);
const unseen = new URL("unseen.jsonl", import.meta.url);
console.log(
  line("unseen", evaluate(file, parseLabelledPrompts(readFileSync(unseen, "utf8"), "unseen.jsonl"))),
);
if (process.argv.includes("--write")) {
  writeFileSync(new URL("../../models/router.json", import.meta.url), formatRouterFile(file));
}
