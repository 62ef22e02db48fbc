import { invalidArgument } from "../errors/air-error.js";
import { at } from "../util/array-access.js";
import { type Change, type Frame, seconds, withoutPressure } from "./choice.js";
import type { Complexity } from "./complexity.js";
import type { RouteDecision, RouteHints, TierState } from "./decision.js";
import { boundsOf, type Candidate, candidatesOf, noTier } from "./eligibility.js";
import type { RequestSize } from "./prediction.js";
import { afterPressure, strongest } from "./pressure-choice.js";
import type { HeldPressures } from "./pressure-levels.js";

/** What can be tuned of the policy. */
export interface PolicySettings {
  /** Below this confidence, a score close to the next threshold counts as above it. */
  readonly lowConfidence: number;
  /** How close that is. */
  readonly closeScore: number;
  /** Requests that share the cost of loading a tier. 1: a request is not made to wait for the sake of later ones. */
  readonly requestsPerLoad: number;
}

/** A score within a twentieth of a threshold is as good as on it, for a classifier that is in two minds. */
export const defaultPolicySettings: PolicySettings = {
  lowConfidence: 0.5,
  closeScore: 0.05,
  requestsPerLoad: 1,
};

/** All that a decision depends on. */
export interface PolicyInput extends RequestSize {
  readonly complexity: Complexity;
  /** Scores from which on the next larger tier is asked for: ascending, one fewer than tiers. */
  readonly thresholds: readonly number[];
  /** In order of size, the smallest first. */
  readonly tiers: readonly TierState[];
  /** After hysteresis. */
  readonly pressure: HeldPressures;
  readonly hints: RouteHints;
  readonly settings: PolicySettings;
}

function checkInput({ complexity, thresholds, tiers, hints, settings }: PolicyInput): void {
  if (tiers.length === 0) throw invalidArgument("tiers", "at least one tier", tiers);
  if (thresholds.length !== tiers.length - 1) {
    throw invalidArgument("thresholds", `an array of ${tiers.length - 1}, one fewer than tiers,`, thresholds);
  }
  thresholds.forEach((threshold, index) => {
    const least = thresholds[index - 1] ?? 0;
    if (!(threshold >= least)) throw invalidArgument(`thresholds[${index}]`, `at least ${least}`, threshold);
  });
  if (!(complexity.score >= 0 && complexity.score <= 1)) {
    throw invalidArgument("complexity.score", "a number from 0 to 1", complexity.score);
  }
  if (hints.deadlineMs !== undefined && Number.isNaN(hints.deadlineMs)) {
    throw invalidArgument("deadlineMs", "a number of milliseconds", hints.deadlineMs);
  }
  if (!(settings.requestsPerLoad > 0)) {
    throw invalidArgument("requestsPerLoad", "a number above 0", settings.requestsPerLoad);
  }
}

/** The tier that the score asks for, and the one that a doubtful score close below a threshold asks for. */
function askedFor(input: PolicyInput): { readonly wanted: number; readonly cautious: number } {
  const { complexity, thresholds, settings } = input;
  const wanted = thresholds.filter((threshold) => threshold <= complexity.score).length;
  const next = thresholds[wanted];
  const isDoubtful =
    next !== undefined &&
    complexity.confidence < settings.lowConfidence &&
    next - complexity.score < settings.closeScore;
  return { wanted, cautious: isDoubtful ? wanted + 1 : wanted };
}

function decisionOf(
  input: PolicyInput,
  candidate: Candidate,
  wanted: number,
  changes: readonly Change[],
): RouteDecision {
  const { score, confidence } = input.complexity;
  const { index, tier, prediction } = candidate;
  const link = index === wanted ? "and" : "but";
  const why = changes.length === 0 ? "" : `, ${link} ${changes.map(({ text }) => text).join(" and ")}`;
  return {
    tier: index,
    name: tier.name,
    wanted,
    reason: changes.at(-1)?.reason ?? "score",
    detail:
      `Score ${score.toFixed(2)} asks for ${at(input.tiers, wanted).name}${why}: ` +
      `${tier.name} answers in ${seconds(prediction.totalSeconds)}.`,
    score,
    confidence,
    predictedMs: prediction.totalSeconds * 1000,
  };
}

/**
 * Decides which tier takes a request. Pure: the same input gives the same decision. A tier that the request names is
 * taken or none is; else the score's tier, moved in this order by the request's bounds, what can take it at all, what
 * is loaded, the deadline and the pressure. More pressure never gives a larger tier (see pressure-choice.ts).
 *
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT for names that no tier has, hints that contradict each other, and
 *   thresholds that do not fit the tiers
 * @throws {AirError} AIR_ERR_NO_TIER when none that the request allows can take it, with the reason of each
 */
export function chooseTier(input: PolicyInput): RouteDecision {
  checkInput(input);
  const { tiers, hints, complexity, pressure } = input;
  const bounds = boundsOf(tiers, hints);
  const { wanted, cautious } = askedFor(input);
  const candidates = candidatesOf(tiers, hints, input);
  if (bounds.pinned !== undefined) {
    const named = at(candidates, bounds.pinned);
    if (named.refusal !== undefined) throw noTier([named]);
    return decisionOf(input, named, wanted, [
      { reason: "pinned", text: `the request names ${named.tier.name}` },
    ]);
  }
  const allowed = candidates.slice(bounds.smallest, bounds.largest + 1);
  const capable = allowed.filter(({ refusal }) => refusal === undefined);
  if (capable.length === 0) throw noTier(allowed);
  const frame: Frame = {
    candidates,
    capable,
    bounds,
    deadlineSeconds: (hints.deadlineMs ?? Infinity) / 1000,
    requestsPerLoad: input.settings.requestsPerLoad,
  };
  const plain = withoutPressure(frame, wanted);
  const careful = cautious === wanted ? plain : withoutPressure(frame, cautious);
  // Caution is for when there is room for it. The smaller of the two, so that pressure does not give the larger.
  const isStrained = strongest(pressure).tiersDown > 0;
  const start = isStrained && plain.index < careful.index ? plain : careful;
  const { index, changes } = afterPressure(frame, start, pressure);
  const doubt: Change = {
    reason: "score",
    text: `a confidence of ${complexity.confidence.toFixed(2)} is too low to be sure`,
  };
  const isRaised = start === careful && cautious > wanted;
  return decisionOf(input, at(candidates, index), wanted, isRaised ? [doubt, ...changes] : changes);
}
