/** What is measured of one version. */
export interface VersionFigures {
  readonly requests: number;
  readonly failures: number;
  /** Of tokens, the mean over requests; null before the first. */
  readonly meanLogprob: number | null;
  /** e to the power of minus that. */
  readonly perplexity: number | null;
  readonly meanFirstTokenMs: number | null;
  /** Time from one token to the next. */
  readonly meanTokenMs: number | null;
}

/** What one answer adds. */
export interface AnswerFigures {
  readonly meanLogprob: number | undefined;
  readonly firstTokenMs: number;
  readonly tokenMs: number | undefined;
}

/** A running mean and variance, by Welford's method. */
class Moments {
  count = 0;
  mean = 0;
  #squares = 0;

  add(value: number): void {
    this.count += 1;
    const difference = value - this.mean;
    this.mean += difference / this.count;
    this.#squares += difference * (value - this.mean);
  }

  /** Squared standard error of the mean; Infinity before the second value. */
  get errorSquared(): number {
    return this.count < 2 ? Infinity : this.#squares / (this.count - 1) / this.count;
  }

  get valueOrNull(): number | null {
    return this.count === 0 ? null : this.mean;
  }
}

/** Measures one version. */
export class VersionTally {
  requests = 0;
  failures = 0;
  readonly logprob = new Moments();
  readonly firstTokenMs = new Moments();
  readonly tokenMs = new Moments();

  answered({ meanLogprob, firstTokenMs, tokenMs }: AnswerFigures): void {
    this.requests += 1;
    this.firstTokenMs.add(firstTokenMs);
    if (meanLogprob !== undefined) this.logprob.add(meanLogprob);
    if (tokenMs !== undefined) this.tokenMs.add(tokenMs);
  }

  failed(): void {
    this.requests += 1;
    this.failures += 1;
  }

  get figures(): VersionFigures {
    const { requests, failures, logprob } = this;
    return {
      requests,
      failures,
      meanLogprob: logprob.valueOrNull,
      perplexity: logprob.count === 0 ? null : Math.exp(-logprob.mean),
      meanFirstTokenMs: this.firstTokenMs.valueOrNull,
      meanTokenMs: this.tokenMs.valueOrNull,
    };
  }
}

/** When a version is taken back. */
export interface CanaryThresholds {
  /** Answers of each version before their means are compared. */
  readonly minRequests: number;
  /** Mean log-probability that it may be below the current version's. */
  readonly maxLogprobDrop: number;
  /** Times as long that a token, or the first one, may take. */
  readonly maxLatencyRatio: number;
  /** Part of the requests that may fail beyond those of the current version. */
  readonly maxFailureRate: number;
}

/** A difference of means counts beyond so many standard errors, so that chance takes nothing back. */
const sureErrors = 2;

/** Requests after which failures count. */
const firstFailures = 5;

function rate({ failures, requests }: VersionTally): number {
  return requests === 0 ? 0 : failures / requests;
}

/** Whether the mean of `a` is below that of `b` by more than `margin`, and not by chance. */
function isBelow(a: Moments, b: Moments, margin: number): boolean {
  const difference = b.mean - a.mean;
  return difference > margin && difference > sureErrors * Math.sqrt(a.errorSquared + b.errorSquared);
}

/** Why a candidate is to be taken back; undefined as long as it is not. */
export function reasonToRollBack(
  current: VersionTally,
  candidate: VersionTally,
  thresholds: CanaryThresholds,
): string | undefined {
  const { minRequests, maxLogprobDrop, maxLatencyRatio, maxFailureRate } = thresholds;
  const excess = rate(candidate) - rate(current);
  if (candidate.requests >= firstFailures && excess > maxFailureRate) {
    return `${candidate.failures} of ${candidate.requests} requests failed`;
  }
  const isMeasured = (select: (tally: VersionTally) => Moments): boolean =>
    select(current).count >= minRequests && select(candidate).count >= minRequests;
  if (isMeasured(({ logprob }) => logprob) && isBelow(candidate.logprob, current.logprob, maxLogprobDrop)) {
    return (
      `its mean log-probability is ${candidate.logprob.mean.toFixed(3)}, ` +
      `the current version's ${current.logprob.mean.toFixed(3)}`
    );
  }
  for (const [name, select] of latencies) {
    if (!isMeasured(select)) continue;
    const [mine, theirs] = [select(candidate), select(current)];
    if (isBelow(theirs, mine, theirs.mean * (maxLatencyRatio - 1))) {
      return `${name} takes ${mine.mean.toFixed(1)} ms, the current version's ${theirs.mean.toFixed(1)} ms`;
    }
  }
  return undefined;
}

const latencies: readonly (readonly [string, (tally: VersionTally) => Moments])[] = [
  ["a token", ({ tokenMs }) => tokenMs],
  ["the first token", ({ firstTokenMs }) => firstTokenMs],
];
