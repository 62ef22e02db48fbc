/** What a policy sees of one head group of one sequence before a step. */
export interface EvictionState {
  readonly headGroup: number;
  readonly pageTokens: number;
  /** Tokens computed so far, the evicted ones included; also the position of the next one. */
  readonly length: number;
  /** Tokens that the coming step adds. */
  readonly incomingTokens: number;
  /** Tokens that the arena holds for the group. */
  readonly cachedTokens: number;
  /** Tokens dropped so far. */
  readonly evictedTokens: number;
  /** Position of the first token of each page, in cache order; valid during the call. */
  readonly pagePositions: readonly number[];
  /**
   * Attention that the last computed token paid to each page, the mean over the query heads of the group. Empty unless
   * the policy asks for it, and before the first step.
   */
  readonly pageMass: Float32Array;
}

/** What a policy wants for the coming step. */
export interface EvictionDecision {
  /** Full pages to drop, as ascending indices into the group's page table. */
  readonly dropPages: readonly number[];
  /** Least length of the text at which they could be dropped: it may get that short and keep the rest. Default: `length`. */
  readonly droppableFrom?: number;
  /** The first n cached tokens are attention sinks: every token reads them, at the distance of its window's start. */
  readonly sinkTokens: number;
  /** Besides the sinks, a token reads at most this many tokens, itself included; 0 reads all that are cached. */
  readonly windowTokens: number;
}

/**
 * Decides, before each step and per head group, what a sequence forgets. Pure: state in, decision out. Output does not
 * depend on batching as long as decisions only drop what no later token reads.
 */
export interface EvictionPolicy {
  /** Names the policy and its settings: two policies of one name decide alike. */
  readonly name: string;
  /** Whether decisions look at pageMass, which makes steps slower. Default false. */
  readonly usesPageMass?: boolean;
  decide(state: EvictionState): EvictionDecision;
  /**
   * Most tokens that a sequence holds for a head group while it computes chunks of `chunkTokens`; Infinity for all of its
   * text. Tells for how many pages a run has to wait; without it, for those of its next chunk.
   */
  capacityTokens?(headGroup: number, chunkTokens: number, pageTokens: number): number;
}

const nothing: EvictionDecision = { dropPages: [], sinkTokens: 0, windowTokens: 0 };

/** The default policy: full attention, nothing is dropped. */
export const keepAll: EvictionPolicy = {
  name: "keep-all",
  decide: () => nothing,
  capacityTokens: () => Infinity,
};
