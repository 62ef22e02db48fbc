import { thresholdsForMix, tierOf } from "../../lib/routing/calibration.js";
import type { JudgedPrompt } from "../../lib/routing/evaluation.js";
import type { LabelledPrompt } from "../../lib/routing/example-file.js";
import type { LinearClassifier } from "../../lib/routing/linear-classifier.js";
import { packRouter, type RouterFile } from "../../lib/routing/router-file.js";
import { trainRouter } from "../../lib/routing/training.js";

/** Shares of the tiers that thresholds are tried with. */
const mix = [0.6, 0.3, 0.1];

/** A router as it ships, trained on these prompts. */
export function trained(examples: readonly LabelledPrompt[]): RouterFile {
  return packRouter(trainRouter(examples));
}

/** What a router makes of prompts. */
export function judge(
  classifier: LinearClassifier,
  examples: readonly LabelledPrompt[],
): readonly JudgedPrompt[] {
  return examples.map(({ prompt, tier }) => ({ tier, complexity: classifier.classify(prompt) }));
}

/** Largest difference, in points, between a mix set on every other prompt and where the rest go. */
export function mixError(classifier: LinearClassifier, prompts: readonly LabelledPrompt[]): number {
  const scores = prompts.map(({ prompt }) => classifier.classify(prompt).score);
  const thresholds = thresholdsForMix(
    scores.filter((_, index) => index % 2 === 0),
    mix,
  );
  const rest = scores.filter((_, index) => index % 2 === 1);
  const shareOf = (tier: number): number =>
    rest.filter((score) => tierOf(score, thresholds) === tier).length / rest.length;
  return Math.max(...mix.map((wanted, tier) => Math.abs(shareOf(tier) - wanted))) * 100;
}
