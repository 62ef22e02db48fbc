import { percentile, sum } from "./statistics.js";

/** What some generations came to. */
export interface DecodeTally {
  /** Tokens that were timed: those after the first. */
  readonly tokens: number;
  readonly ms: number;
  /** Draft tokens that were verified. */
  readonly drafted: number;
  readonly accepted: number;
  /** Steps that verified a draft. */
  readonly cycles: number;
}

/** A way to generate beside target-only generation of the same prompts. */
export interface SpeculationComparison {
  /** Medians of the rounds. */
  readonly targetOnly: { readonly tokensPerSecond: number };
  readonly speculative: { readonly tokensPerSecond: number };
  /** Milliseconds per token over those of target-only generation in the same round: median and range. */
  readonly speedup: { readonly median: number; readonly min: number; readonly max: number };
  /** Of all rounds. */
  readonly drafted: number;
  readonly accepted: number;
  readonly cycles: number;
  /** accepted / drafted; 0 without drafts. */
  readonly acceptanceRate: number;
  /** Tokens per step with a draft: 1 + accepted / cycles. */
  readonly meanAcceptanceLength: number;
}

/** The tally of all of them. */
export function sumTallies(tallies: readonly DecodeTally[]): DecodeTally {
  const total = (read: (tally: DecodeTally) => number): number => sum(tallies.map(read));
  return {
    tokens: total(({ tokens }) => tokens),
    ms: total(({ ms }) => ms),
    drafted: total(({ drafted }) => drafted),
    accepted: total(({ accepted }) => accepted),
    cycles: total(({ cycles }) => cycles),
  };
}

function tokensPerSecond({ tokens, ms }: DecodeTally): number {
  return ms > 0 ? (tokens * 1000) / ms : 0;
}

function medianRate(rounds: readonly DecodeTally[]): { readonly tokensPerSecond: number } {
  return { tokensPerSecond: percentile(rounds.map(tokensPerSecond), 0.5) };
}

/** Compares rounds of the same work; both lists are in the order of the rounds. */
export function compareRounds(
  targetOnly: readonly DecodeTally[],
  speculative: readonly DecodeTally[],
): SpeculationComparison {
  const speedups = speculative.map((tally, round) => {
    const plain = targetOnly[round];
    return plain === undefined ? NaN : tokensPerSecond(tally) / tokensPerSecond(plain);
  });
  const { drafted, accepted, cycles } = sumTallies(speculative);
  return {
    targetOnly: medianRate(targetOnly),
    speculative: medianRate(speculative),
    speedup: { median: percentile(speedups, 0.5), min: Math.min(...speedups), max: Math.max(...speedups) },
    drafted,
    accepted,
    cycles,
    acceptanceRate: drafted > 0 ? accepted / drafted : 0,
    meanAcceptanceLength: cycles > 0 ? 1 + accepted / cycles : 1,
  };
}
