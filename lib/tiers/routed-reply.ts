import type { RouteDecision } from "../routing/decision.js";
import type { Generation, GenerationResult } from "../runtime/generation.js";

/** A tier's part in a reply. */
export interface Attempt {
  readonly tier: string;
  /** The answer was given, was not trusted, or could not be given. */
  readonly outcome: "answered" | "rejected" | "failed";
  /** Why the tier was picked, why the answer was not trusted, or the code of the error. */
  readonly reason: string;
  readonly tokens: number;
  readonly ms: number;
}

/** A finished reply. */
export interface RoutedResult extends GenerationResult {
  /** Name of the tier that answered. */
  readonly tier: string;
  /** The decision that led there. */
  readonly decision: RouteDecision;
  /** All tiers that worked on it, in order; the last one answered. */
  readonly attempts: readonly Attempt[];
}

/** A reply on its way. */
export interface RoutedReply extends Generation<RoutedResult> {
  /** The first decision; `result` has the last one. */
  readonly decision: Promise<RouteDecision>;
  /** The last decision so far. Once there is text it stays: who began a text ends it. */
  latestDecision(): RouteDecision | undefined;
}
