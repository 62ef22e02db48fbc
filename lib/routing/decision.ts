/** How strained the machine is, each from 0, not at all, to 1, at its limit. */
export interface Pressure {
  /** Memory that is taken, of what there is. */
  readonly memory: number;
  /** Temperature between where it starts to matter and where the machine throttles. */
  readonly heat: number;
  /** Requests that wait, of those that may. */
  readonly queue: number;
}

/** What the policy knows of a tier. Tiers are in order of size, the smallest first; remote ones come where they belong. */
export interface TierState {
  readonly name: string;
  readonly kind: "local" | "remote";
  /** Loaded, or a remote whose breaker is closed. */
  readonly isReady: boolean;
  /** False when it cannot be used now at all: broken file, open breaker, does not fit the memory. */
  readonly isAvailable: boolean;
  /** Seconds to load it; 0 when it is ready. */
  readonly loadSeconds: number;
  /** Measured, or estimated before there is a measurement. */
  readonly prefillTokensPerSecond: number;
  readonly decodeTokensPerSecond: number;
  /** Seconds until a new request gets its turn. */
  readonly queueSeconds: number;
  /** Most tokens of prompt and answer together. */
  readonly contextTokens: number;
}

/** What a request says about where it may go. */
export interface RouteHints {
  /** Name of the tier that has to answer. */
  readonly tier?: string | undefined;
  /** Smallest and largest tier that may answer, by name. */
  readonly minTier?: string | undefined;
  readonly maxTier?: string | undefined;
  /** Milliseconds from now in which the whole answer is wanted. */
  readonly deadlineMs?: number | undefined;
  /** Nothing may leave the machine. */
  readonly localOnly?: boolean | undefined;
}

/** Why a tier was picked. */
export type RouteReason =
  | "score" // the smallest tier that the score asks for
  | "pinned" // the request named it
  | "minimum" // raised to what the request allows
  | "maximum" // lowered to what the request allows
  | "resident" // it is loaded, and loading the one that was wanted costs more than it saves
  | "deadline" // larger tiers would take too long
  | "memory" // pressure
  | "heat"
  | "queue"
  | "context" // smaller tiers cannot hold the text
  | "unavailable" // the one that was wanted cannot be used now
  | "local-only" // the one that was wanted is remote
  | "escalated"; // a smaller tier was not sure of its answer

/** Where a request goes. */
export interface RouteDecision {
  /** Index among the tiers. */
  readonly tier: number;
  readonly name: string;
  /** The tier that the score alone asks for. */
  readonly wanted: number;
  /** What decided, the last of the changes to `wanted`. */
  readonly reason: RouteReason;
  /** One sentence for people, with numbers. */
  readonly detail: string;
  readonly score: number;
  readonly confidence: number;
  /** What the request will take on this tier, waiting and loading included. */
  readonly predictedMs: number;
}
