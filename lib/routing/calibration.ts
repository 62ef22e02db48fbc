import { invalidArgument } from "../errors/air-error.js";
import type { Complexity } from "./complexity.js";
import { minimize } from "./lbfgs.js";
import { sigmoid } from "./ordinal-model.js";

/** Turns a logit into that of a probability that holds: slope * logit + offset (Platt's scaling). */
export interface PlattScale {
  /** Above 0, so that order is kept. */
  readonly slope: number;
  readonly offset: number;
}

/** Smallest slope: a boundary never turns its logits around. */
const smallestSlope = 0.01;

/**
 * Fits a scale on logits of examples that the model was not trained on.
 *
 * @param logits - [examples]
 * @param outcomes - [examples] whether the tier was at least the boundary's
 * @see Platt, "Probabilistic outputs for support vector machines", 1999, which also smooths the targets as here
 */
export function fitPlatt(logits: readonly number[], outcomes: readonly boolean[]): PlattScale {
  const positives = outcomes.filter(Boolean).length;
  const negatives = outcomes.length - positives;
  const high = (positives + 1) / (positives + 2);
  const low = 1 / (negatives + 2);
  const objective = (point: Float64Array, gradient: Float64Array): number => {
    const slope = Math.exp(point[0] ?? 0);
    const offset = point[1] ?? 0;
    let value = 0;
    gradient.fill(0);
    for (const [i, logit] of logits.entries()) {
      const target = outcomes[i] === true ? high : low;
      const scaled = slope * logit + offset;
      const probability = sigmoid(scaled);
      value -= target * Math.log(Math.max(probability, 1e-15));
      value -= (1 - target) * Math.log(Math.max(1 - probability, 1e-15));
      const error = probability - target;
      gradient[0] = (gradient[0] ?? 0) + error * slope * logit;
      gradient[1] = (gradient[1] ?? 0) + error;
    }
    const count = Math.max(1, logits.length);
    gradient[0] = (gradient[0] ?? 0) / count;
    gradient[1] = (gradient[1] ?? 0) / count;
    return value / count;
  };
  const point = minimize(objective, new Float64Array(2), { iterations: 100, tolerance: 1e-10 });
  return { slope: Math.max(smallestSlope, Math.exp(point[0] ?? 0)), offset: point[1] ?? 0 };
}

/**
 * The complexity that two scaled logits say. "Hard" is never likelier than "at least demanding": where the boundaries
 * disagree, both get the mean, which is what isotonic regression of two values gives.
 */
export function complexityOf(low: number, high: number): Complexity {
  let demanding = sigmoid(low);
  let hard = sigmoid(high);
  if (hard > demanding) demanding = hard = (demanding + hard) / 2;
  const probabilities = [1 - demanding, demanding - hard, hard];
  return { score: (demanding + hard) / 2, confidence: Math.max(...probabilities), probabilities };
}

/** The tier of a score: how many of the thresholds it reaches. */
export function tierOf(score: number, thresholds: readonly number[]): number {
  return thresholds.filter((threshold) => score >= threshold).length;
}

/**
 * Thresholds that cut scores of traffic into shares, the smallest tier's first.
 *
 * @param mix - shares of the tiers, in any unit; each at least 0, not all 0
 * @returns one threshold fewer than shares, ascending
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT for no scores, or shares that are none
 */
export function thresholdsForMix(scores: readonly number[], mix: readonly number[]): readonly number[] {
  if (scores.length === 0) throw invalidArgument("scores", "at least one score", scores);
  const total = mix.reduce((sum, share) => sum + share, 0);
  if (mix.length < 2 || !(total > 0) || mix.some((share) => !(share >= 0))) {
    throw invalidArgument("mix", "at least two shares such as 60/30/10", mix.join("/"));
  }
  const sorted = Float64Array.from(scores).sort();
  let share = 0;
  return mix.slice(0, -1).map((part) => {
    share += part / total;
    const position = Math.round(share * sorted.length);
    if (position === 0) return 0;
    const below = sorted[position - 1] ?? 1;
    const above = sorted[position];
    // Beyond the largest score nothing is left for larger tiers; halfway to 1 also for those yet to come.
    return above === undefined ? (below + 1) / 2 : (below + above) / 2;
  });
}
