import { AirError, invalidArgument } from "../errors/air-error.js";
import { at } from "../util/array-access.js";
import type { RouteHints, RouteReason, TierState } from "./decision.js";
import { predict, type Prediction, type RequestSize } from "./prediction.js";

/** Why a tier cannot take a request, whatever the score and the pressure are. */
interface Refusal {
  readonly reason: Extract<RouteReason, "unavailable" | "context" | "local-only">;
  /** A clause such as "large is remote". */
  readonly text: string;
}

/** A tier as one request sees it. */
export interface Candidate {
  readonly index: number;
  readonly tier: TierState;
  readonly prediction: Prediction;
  /** Absent of a tier that can take the request. */
  readonly refusal: Refusal | undefined;
}

/** The tiers that a request allows, by index; `pinned` when it names one. */
export interface TierBounds {
  readonly smallest: number;
  readonly largest: number;
  readonly pinned: number | undefined;
}

function refusalOf(tier: TierState, hints: RouteHints, size: RequestSize): Refusal | undefined {
  const { name, contextTokens } = tier;
  const neededTokens = size.promptTokens + size.expectedTokens;
  if (hints.localOnly === true && tier.kind === "remote") {
    return { reason: "local-only", text: `${name} is remote and the request stays on this machine` };
  }
  if (neededTokens > contextTokens) {
    return {
      reason: "context",
      text: `${name} holds ${contextTokens} tokens and the request needs ${neededTokens}`,
    };
  }
  if (!tier.isAvailable) return { reason: "unavailable", text: `${name} cannot be used now` };
  return undefined;
}

/** All tiers as a request sees them, in their order. */
export function candidatesOf(
  tiers: readonly TierState[],
  hints: RouteHints,
  size: RequestSize,
): readonly Candidate[] {
  return tiers.map((tier, index) => ({
    index,
    tier,
    prediction: predict(tier, size),
    refusal: refusalOf(tier, hints, size),
  }));
}

function indexOfName(tiers: readonly TierState[], hints: RouteHints, hint: TierHint): number | undefined {
  const name = hints[hint];
  if (name === undefined) return undefined;
  const index = tiers.findIndex((tier) => tier.name === name);
  if (index < 0) throw invalidArgument(hint, `one of ${tiers.map((tier) => tier.name).join(", ")}`, name);
  return index;
}

type TierHint = "tier" | "minTier" | "maxTier";

/**
 * The bounds that a request's hints set.
 *
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT for names that no tier has, and hints that contradict each other
 */
export function boundsOf(tiers: readonly TierState[], hints: RouteHints): TierBounds {
  const pinned = indexOfName(tiers, hints, "tier");
  const smallest = indexOfName(tiers, hints, "minTier") ?? 0;
  const largest = indexOfName(tiers, hints, "maxTier") ?? tiers.length - 1;
  if (smallest > largest) {
    throw invalidArgument("maxTier", `a tier not smaller than minTier ${hints.minTier ?? ""}`, hints.maxTier);
  }
  if (pinned !== undefined && (pinned < smallest || pinned > largest)) {
    const range = `${at(tiers, smallest).name} to ${at(tiers, largest).name}`;
    throw invalidArgument("tier", `a tier from ${range}, as minTier and maxTier say,`, hints.tier);
  }
  return { smallest, largest, pinned };
}

/** No tier that a request allows can take it. */
export class AirNoTierError extends AirError {
  override readonly name = "AirNoTierError";
  /** Why, of each tier that the request allows. */
  readonly reasons: readonly Refusal["reason"][];

  constructor(refusals: readonly Refusal[]) {
    const texts = refusals.map(({ text }) => text).join("; ");
    super("AIR_ERR_NO_TIER", `expected a tier that can take it for the request but received none: ${texts}`);
    this.reasons = refusals.map(({ reason }) => reason);
  }
}

/** AIR_ERR_NO_TIER, with the reason of each tier that the request allows. */
export function noTier(allowed: readonly Candidate[]): AirNoTierError {
  return new AirNoTierError(allowed.flatMap(({ refusal }) => (refusal === undefined ? [] : [refusal])));
}
