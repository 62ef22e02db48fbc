/** A request whose tier is known, and its score. */
export interface ScoredTier {
  readonly tier: number;
  readonly score: number;
}

/** Steps of the grid that thresholds are chosen from. */
const gridSteps = 100;

/** Smallest recall of a tier that thresholds may lead to, where any do better. */
const leastRecall = 0.78;

interface Shares {
  readonly accuracy: number;
  readonly underRouted: number;
  readonly worstRecall: number;
}

/** [3][gridSteps + 1] share of each tier's scores below each grid point. */
function sharesBelow(scored: readonly ScoredTier[]): readonly Float64Array[] {
  return [0, 1, 2].map((tier) => {
    const scores = scored.filter((one) => one.tier === tier).map(({ score }) => score);
    const below = new Float64Array(gridSteps + 1);
    for (let step = 0; step <= gridSteps; step += 1) {
      const count = scores.filter((score) => score < step / gridSteps).length;
      below[step] = count / Math.max(1, scores.length);
    }
    return below;
  });
}

/** How good a pair is when tiers are equally frequent. */
function sharesAt(below: readonly Float64Array[], first: number, second: number): Shares {
  const at = (tier: number, step: number): number => below[tier]?.[step] ?? 0;
  const recalls = [at(0, first), at(1, second) - at(1, first), 1 - at(2, second)];
  return {
    accuracy: recalls.reduce((sum, recall) => sum + recall, 0) / recalls.length,
    // Half of a tier's mistakes downwards per tier: tier 1 below the first, tier 2 below the second.
    underRouted: (at(1, first) + at(2, second)) / recalls.length,
    worstRecall: Math.min(...recalls),
  };
}

/**
 * The thresholds of best accuracy among those that give at most a share of requests too small a tier and no tier a
 * poor recall; where there are none, those of the fewest too small. Tiers count alike.
 */
export function chooseThresholds(
  scored: readonly ScoredTier[],
  mostUnderRouted: number,
): readonly [number, number] {
  const below = sharesBelow(scored);
  let best: { readonly pair: readonly [number, number]; readonly merit: number } | undefined;
  for (let first = 1; first < gridSteps; first += 1) {
    for (let second = first + 1; second < gridSteps; second += 1) {
      const { accuracy, underRouted, worstRecall } = sharesAt(below, first, second);
      const excess = Math.max(0, underRouted - mostUnderRouted) + Math.max(0, leastRecall - worstRecall);
      // Any excess counts more than all accuracy there is.
      const merit = accuracy - 10 * excess;
      if (best === undefined || merit > best.merit) {
        best = { pair: [first / gridSteps, second / gridSteps], merit };
      }
    }
  }
  return best?.pair ?? [1 / 3, 2 / 3];
}
