/** What a policy sees of one head group of one sequence before a step. */
export interface EvictionState {
  readonly headGroup: number;
  readonly pageTokens: number;
  /** Tokens computed so far, the evicted ones included. */
  readonly length: number;
  /** Tokens that the coming step adds. */
  readonly incomingTokens: number;
  /** Tokens that the arena holds for the group. */
  readonly cachedTokens: number;
  /** Tokens dropped so far. */
  readonly evictedTokens: number;
}

/** What a policy wants for the coming step; cache indices count what is left after the drop. */
export interface EvictionDecision {
  /** Full pages to drop, as ascending indices into the group's page table. */
  readonly dropPages: readonly number[];
  /** The first n cached tokens are attention sinks. */
  readonly sinkTokens: number;
  /** Sinks are scored with the query rotated to position - sinkShift. */
  readonly sinkShift: number;
  /** First cache index that is read after the sinks. */
  readonly windowStart: number;
}

/** Decides, before each step and per head group, what a sequence forgets. Pure: state in, decision out. */
export interface EvictionPolicy {
  readonly name: string;
  decide(state: EvictionState): EvictionDecision;
}

const nothing: EvictionDecision = { dropPages: [], sinkTokens: 0, sinkShift: 0, windowStart: 0 };

/** The default policy: full attention, nothing is dropped. */
export const keepAll: EvictionPolicy = { name: "keep-all", decide: () => nothing };
