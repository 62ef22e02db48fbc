/** Natural logarithm of the gamma function, by Lanczos' approximation (Numerical Recipes, section 6.1). */
function logGamma(x: number): number {
  const coefficients = [
    76.18009172947146, -86.50532032941678, 24.01409824083091, -1.231739572450155, 0.1208650973866179e-2,
    -0.5395239384953e-5,
  ];
  const shifted = x + 5.5;
  const series = coefficients.reduce(
    (sum, coefficient, index) => sum + coefficient / (x + 1 + index),
    1.000000000190015,
  );
  return (x + 0.5) * Math.log(shifted) - shifted + Math.log((Math.sqrt(2 * Math.PI) * series) / x);
}

const precision = 1e-15;
const maxTerms = 10_000;

/** Regularised lower incomplete gamma function P(a, x), by its series; for x < a + 1. */
function lowerGammaSeries(a: number, x: number): number {
  let term = 1 / a;
  let sum = term;
  for (let n = 1; n < maxTerms && term > sum * precision; n += 1) {
    term *= x / (a + n);
    sum += term;
  }
  return sum * Math.exp(-x + a * Math.log(x) - logGamma(a));
}

/** Regularised upper incomplete gamma function Q(a, x), by its continued fraction (modified Lentz); for x >= a + 1. */
function upperGammaFraction(a: number, x: number): number {
  let b = x + 1 - a;
  let c = Number.MAX_VALUE;
  let d = 1 / b;
  let fraction = d;
  for (let n = 1; n < maxTerms; n += 1) {
    const numerator = -n * (n - a);
    b += 2;
    d = 1 / (numerator * d + b);
    c = b + numerator / c;
    fraction *= c * d;
    if (Math.abs(c * d - 1) < precision) break;
  }
  return fraction * Math.exp(-x + a * Math.log(x) - logGamma(a));
}

/** Probability that a chi-square variable of so many degrees of freedom is above `statistic`: Q(df / 2, x / 2). */
export function chiSquareSurvival(statistic: number, degreesOfFreedom: number): number {
  const a = degreesOfFreedom / 2;
  const x = statistic / 2;
  if (degreesOfFreedom === 0 || x <= 0) return 1;
  if (x === Infinity) return 0;
  return x < a + 1 ? 1 - lowerGammaSeries(a, x) : upperGammaFraction(a, x);
}

/** Fewest expected draws of a cell, for the statistic to be nearly chi-square distributed (Cochran's rule). */
const leastExpected = 5;

/** Pearson's statistic of some tables of draws, added up. */
export class ChiSquare {
  #statistic = 0;
  #degreesOfFreedom = 0;

  /** Adds a table of draws; cells that are too rarely expected are joined with the next likelier ones. */
  add(counts: ArrayLike<number>, probabilities: readonly number[]): void {
    const draws = Array.from(counts).reduce((a, b) => a + b, 0);
    const cells = probabilities
      .map((probability, cell) => ({ expected: probability * draws, count: counts[cell] ?? 0 }))
      .sort((a, b) => a.expected - b.expected);
    if (cells.some(({ expected, count }) => expected === 0 && count > 0)) this.#statistic = Infinity;
    const groups: { expected: number; count: number }[] = [];
    let open = { expected: 0, count: 0 };
    for (const [index, { expected, count }] of cells.entries()) {
      open = { expected: open.expected + expected, count: open.count + count };
      const rest = cells.slice(index + 1).reduce((sum, cell) => sum + cell.expected, 0);
      if (open.expected < leastExpected || (rest > 0 && rest < leastExpected)) continue;
      groups.push(open);
      open = { expected: 0, count: 0 };
    }
    for (const group of groups) this.#statistic += (group.count - group.expected) ** 2 / group.expected;
    this.#degreesOfFreedom += Math.max(0, groups.length - 1);
  }

  /** Probability of a statistic at least this large if the draws have those probabilities. */
  get pValue(): number {
    return chiSquareSurvival(this.#statistic, this.#degreesOfFreedom);
  }
}
