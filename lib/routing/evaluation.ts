import { tierOf } from "./calibration.js";
import type { Complexity } from "./complexity.js";

/** A request whose tier is known, and what a classifier said of it. */
export interface JudgedPrompt {
  readonly tier: number;
  readonly complexity: Complexity;
}

/** How well a router does on prompts whose tiers are known. */
export interface RouterEvaluation {
  readonly prompts: number;
  readonly accuracy: number;
  /** [tier][picked] prompts. */
  readonly confusion: readonly (readonly number[])[];
  /** [tiers] share of a tier's prompts that went there; null for a tier without prompts. */
  readonly recalls: readonly (number | null)[];
  /** Share of prompts that got too small a tier, and too large a one. */
  readonly underRouted: number;
  readonly overRouted: number;
  /** Mean difference between how sure the classifier was and how often it was right, over 10 ranges of sureness. */
  readonly calibrationError: number;
  readonly cost: {
    /** Mean a request; one that got too small a tier is paid for there and again on the tier that it needs. */
    readonly expected: number;
    /** With every request on the largest tier, and with each on the tier that it needs. */
    readonly largest: number;
    readonly ideal: number;
  };
}

/** [tiers] relative costs of a request when nothing else is known: each tier four times the one below. */
export const defaultTierCosts: readonly number[] = [1, 4, 16];

const tiers = [0, 1, 2];
const ranges = 10;

/**
 * Expected calibration error of the likeliest class (Guo et al., "On calibration of modern neural networks", 2017,
 * equation 3).
 */
export function calibrationError(judged: readonly JudgedPrompt[]): number {
  const sums = Array.from({ length: ranges }, () => ({ confidence: 0, right: 0 }));
  for (const { tier, complexity } of judged) {
    const { probabilities, confidence } = complexity;
    const range = sums[Math.min(ranges - 1, Math.floor(confidence * ranges))];
    if (range === undefined) continue;
    range.confidence += confidence;
    if (probabilities.indexOf(Math.max(...probabilities)) === tier) range.right += 1;
  }
  const differences = sums.reduce((sum, { confidence, right }) => sum + Math.abs(confidence - right), 0);
  return differences / Math.max(1, judged.length);
}

function meanCost(
  confusion: readonly (readonly number[])[],
  costs: readonly number[],
  prompts: number,
): RouterEvaluation["cost"] {
  const costOf = (tier: number): number => costs[tier] ?? 0;
  let expected = 0;
  let ideal = 0;
  for (const [tier, row] of confusion.entries()) {
    for (const [picked, count] of row.entries()) {
      expected += count * (costOf(picked) + (picked < tier ? costOf(tier) : 0));
      ideal += count * costOf(tier);
    }
  }
  const count = Math.max(1, prompts);
  return { expected: expected / count, largest: costOf(2), ideal: ideal / count };
}

/**
 * Compares what a classifier said, under thresholds, with what is known.
 *
 * @param costs - [tiers] of a request that the tier answers, in any unit
 */
export function evaluateRouter(
  judged: readonly JudgedPrompt[],
  thresholds: readonly number[],
  costs: readonly number[] = defaultTierCosts,
): RouterEvaluation {
  const confusion = tiers.map(() => tiers.map(() => 0));
  for (const { tier, complexity } of judged) {
    const row = confusion[tier];
    const picked = tierOf(complexity.score, thresholds);
    if (row !== undefined) row[picked] = (row[picked] ?? 0) + 1;
  }
  const countWhere = (test: (tier: number, picked: number) => boolean): number =>
    confusion.reduce(
      (sum, row, tier) =>
        sum + row.reduce((inner, count, picked) => inner + (test(tier, picked) ? count : 0), 0),
      0,
    );
  const share = (count: number): number => count / Math.max(1, judged.length);
  return {
    prompts: judged.length,
    accuracy: share(countWhere((tier, picked) => tier === picked)),
    confusion,
    recalls: confusion.map((row, tier) => {
      const count = row.reduce((sum, value) => sum + value, 0);
      return count === 0 ? null : (row[tier] ?? 0) / count;
    }),
    underRouted: share(countWhere((tier, picked) => picked < tier)),
    overRouted: share(countWhere((tier, picked) => picked > tier)),
    calibrationError: calibrationError(judged),
    cost: meanCost(confusion, costs, judged.length),
  };
}
