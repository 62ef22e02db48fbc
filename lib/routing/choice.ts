import { AirError } from "../errors/air-error.js";
import { at } from "../util/array-access.js";
import type { RouteReason } from "./decision.js";
import type { Candidate, TierBounds } from "./eligibility.js";

/** A change to what was chosen before, and a clause that says why. */
export interface Change {
  readonly reason: RouteReason;
  readonly text: string;
}

/** What is chosen so far, and how it came to that. */
export interface Choice {
  readonly index: number;
  /** The capable tier that the score comes down to; what is loaded, deadlines and pressure depart from it. */
  readonly asked: number;
  readonly changes: readonly Change[];
}

/** One decision under way. */
export interface Frame {
  readonly candidates: readonly Candidate[];
  /** Those that can take the request and lie within its bounds, in order of size; never empty. */
  readonly capable: readonly Candidate[];
  readonly bounds: TierBounds;
  /** Infinity without a deadline. */
  readonly deadlineSeconds: number;
  readonly requestsPerLoad: number;
}

/** "3.2 s", for people. */
export function seconds(value: number): string {
  return Number.isFinite(value) ? `${value.toFixed(value < 10 ? 1 : 0)} s` : "an unknown time";
}

/** A choice changed once more; it may stay where it is and only gain a reason. */
export function moved(choice: Choice, to: Candidate, reason: RouteReason, text: string): Choice {
  return { ...choice, index: to.index, changes: [...choice.changes, { reason, text }] };
}

/** The one that is done first; the smallest of several. Undefined of none. */
function fastest(candidates: readonly Candidate[]): Candidate | undefined {
  return candidates.reduce<Candidate | undefined>(
    (best, next) =>
      best === undefined || next.prediction.totalSeconds < best.prediction.totalSeconds ? next : best,
    undefined,
  );
}

/** Whether a tier is expected to meet the deadline. */
export function isInTime({ deadlineSeconds }: Frame, { prediction }: Candidate): boolean {
  return prediction.totalSeconds <= deadlineSeconds;
}

/** The capable tier for one that is asked for: itself, else the next larger one, else the next smaller one. */
function withinReach(frame: Frame, wanted: number): Choice {
  const { smallest, largest } = frame.bounds;
  const nameOf = (index: number): string => at(frame.candidates, index).tier.name;
  let choice: Choice = { index: wanted, asked: wanted, changes: [] };
  if (wanted < smallest) {
    const text = `the request allows no tier below ${nameOf(smallest)}`;
    choice = moved(choice, at(frame.candidates, smallest), "minimum", text);
  } else if (wanted > largest) {
    const text = `the request allows no tier above ${nameOf(largest)}`;
    choice = moved(choice, at(frame.candidates, largest), "maximum", text);
  }
  const asked = at(frame.candidates, choice.index);
  if (asked.refusal === undefined) return { ...choice, asked: asked.index };
  const { capable } = frame;
  const found =
    capable.find(({ index }) => index > asked.index) ?? capable.findLast(({ index }) => index < asked.index);
  if (found === undefined) {
    throw new AirError("AIR_ERR_INTERNAL", "expected a capable tier for the request but received none");
  }
  return { ...moved(choice, found, asked.refusal.reason, asked.refusal.text), asked: found.index };
}

/**
 * A larger local tier that is loaded answers for a cold one, when it is done sooner than the cold one with its load. A
 * remote tier does not: no text leaves the machine, and nothing is paid, to spare a load.
 */
function afterResidency(frame: Frame, choice: Choice): Choice {
  const { tier, prediction } = at(frame.candidates, choice.index);
  if (tier.isReady || tier.kind === "remote") return choice;
  const { queueSeconds, loadSeconds, workSeconds } = prediction;
  const costSeconds = queueSeconds + loadSeconds / frame.requestsPerLoad + workSeconds;
  const loaded = frame.capable.find(
    (other) =>
      other.index > choice.index &&
      other.tier.kind === "local" &&
      other.tier.isReady &&
      other.prediction.totalSeconds < costSeconds,
  );
  if (loaded === undefined) return choice;
  const text =
    `${tier.name} would load for ${seconds(loadSeconds)} and answer after ${seconds(prediction.totalSeconds)}, ` +
    `while ${loaded.tier.name} is loaded`;
  return moved(choice, loaded, "resident", text);
}

/** The largest tier up to the asked one that is in time; else the next larger one that is; else the fastest of all. */
function afterDeadline(frame: Frame, choice: Choice): Choice {
  const current = at(frame.candidates, choice.index);
  if (isInTime(frame, current)) return choice;
  const inTime = frame.capable.filter((candidate) => isInTime(frame, candidate));
  const found =
    inTime.findLast(({ index }) => index <= choice.asked) ??
    inTime.find(({ index }) => index > choice.asked) ??
    fastest(frame.capable);
  if (found === undefined || found.index === choice.index) {
    return moved(choice, current, "deadline", `${lateness(frame, current)}, and no tier is faster`);
  }
  return moved(choice, found, "deadline", lateness(frame, current));
}

function lateness({ deadlineSeconds }: Frame, { tier, prediction }: Candidate): string {
  const total = seconds(prediction.totalSeconds);
  return `${tier.name} would take ${total} and ${seconds(deadlineSeconds)} are allowed`;
}

/** Moves a choice from the tier that it asks for to the one that what is loaded and the deadline make of it. */
export function settled(frame: Frame, choice: Choice): Choice {
  return afterDeadline(frame, afterResidency(frame, choice));
}

/** The choice for a tier that the score asks for, as if there were no pressure. */
export function withoutPressure(frame: Frame, wanted: number): Choice {
  return settled(frame, withinReach(frame, wanted));
}
