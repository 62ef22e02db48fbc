/**
 * Trains the shipped router: npx tsx bench/router/train.ts [--write] [--data FILE]. Prints how it does on held-out
 * families and topics, and on prompts that were written for testing only. --write stores models/router.json and
 * bench/results/router.json, --data the training prompts as JSONL for `air router train`.
 */
import { readFileSync, writeFileSync } from "node:fs";

import { evaluateRouter, type JudgedPrompt, type RouterEvaluation } from "../../lib/routing/evaluation.js";
import { parseLabelledPrompts } from "../../lib/routing/example-file.js";
import { LinearClassifier } from "../../lib/routing/linear-classifier.js";
import { formatRouterFile } from "../../lib/routing/router-file.js";
import { expandFamilies, type ExpandedPrompt, toJsonLine } from "./expand.js";
import { judge, mixError, trained } from "./held-out.js";
import { allFamilies } from "./prompts/all.js";
import { splitPrompts } from "./split.js";

const parts = [0, 1, 2, 3];
const testSets = ["unseen.jsonl", "unseen-late.jsonl", "unseen-third.jsonl"];

function line(name: string, result: RouterEvaluation): string {
  const percent = (value: number | null): string => (value === null ? "-" : (value * 100).toFixed(1));
  return [
    name.padEnd(26),
    `${result.prompts} prompts`.padStart(12),
    `accuracy ${percent(result.accuracy)}`,
    `recalls ${result.recalls.map(percent).join(" ")}`,
    `under ${percent(result.underRouted)}`,
    `over ${percent(result.overRouted)}`,
    `ECE ${result.calibrationError.toFixed(3)}`,
  ].join("  ");
}

const results: Record<string, RouterEvaluation> = {};
const mixErrors: number[] = [];

function report(name: string, judged: readonly JudgedPrompt[], thresholds: readonly number[]): void {
  const result = evaluateRouter(judged, thresholds);
  results[name] = result;
  console.log(line(name, result));
}

function reportSplits(prompts: readonly ExpandedPrompt[]): void {
  for (const part of parts) {
    const { train, heldOutFamilies, heldOutTopics } = splitPrompts(prompts, part);
    const classifier = new LinearClassifier(trained(train));
    const { thresholds } = classifier;
    report(`split ${part}, new families`, judge(classifier, heldOutFamilies), thresholds);
    report(`split ${part}, new topics`, judge(classifier, heldOutTopics), thresholds);
    const heldOut = [...heldOutFamilies, ...heldOutTopics];
    report(`split ${part}, all held out`, judge(classifier, heldOut), thresholds);
    mixErrors.push(mixError(classifier, heldOut));
  }
}

/** Each writer's prompts, judged by a router that was trained on the other's. */
function reportWriters(prompts: readonly ExpandedPrompt[]): void {
  for (const writer of ["d1", "d2"]) {
    const isOwn = ({ family }: ExpandedPrompt): boolean => family.startsWith(`${writer}-`);
    const classifier = new LinearClassifier(trained(prompts.filter((prompt) => !isOwn(prompt))));
    report(`writer ${writer}, unread`, judge(classifier, prompts.filter(isOwn)), classifier.thresholds);
    mixErrors.push(mixError(classifier, prompts.filter(isOwn)));
  }
}

const prompts = expandFamilies(allFamilies);
console.log(`${prompts.length} prompts of ${allFamilies.length} families`);
reportSplits(prompts);
reportWriters(prompts);
console.log(`60/30/10 within ${mixErrors.map((error) => error.toFixed(1)).join(", ")} points`);
const started = performance.now();
const file = trained(prompts);
console.log(
  `trained in ${((performance.now() - started) / 1000).toFixed(1)} s, thresholds ${file.thresholds.join(" ")}`,
);
const shipped = new LinearClassifier(file);
for (const name of testSets) {
  const examples = parseLabelledPrompts(readFileSync(new URL(name, import.meta.url), "utf8"), name);
  report(name, judge(shipped, examples), shipped.thresholds);
}
const dataOption = process.argv.indexOf("--data");
const dataFile = dataOption < 0 ? undefined : process.argv[dataOption + 1];
if (dataFile !== undefined) writeFileSync(dataFile, `${prompts.map(toJsonLine).join("\n")}\n`);
if (process.argv.includes("--write")) {
  writeFileSync(new URL("../../models/router.json", import.meta.url), formatRouterFile(file));
  const measured = {
    prompts: prompts.length,
    families: allFamilies.length,
    thresholds: file.thresholds,
    mixErrors,
    results,
  };
  writeFileSync(
    new URL("../results/router.json", import.meta.url),
    `${JSON.stringify(measured, undefined, 1)}\n`,
  );
}
