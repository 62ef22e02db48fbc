import type { TierState } from "./decision.js";

/** Seconds of a request on a tier, part by part. */
export interface Prediction {
  readonly queueSeconds: number;
  /** 0 on a tier that is ready. */
  readonly loadSeconds: number;
  /** The work itself: prefill and decode. */
  readonly workSeconds: number;
  readonly totalSeconds: number;
}

/** Tokens of a request: of its prompt, and expected of its answer. */
export interface RequestSize {
  readonly promptTokens: number;
  readonly expectedTokens: number;
}

/** Infinity without a rate: nothing can be promised then. */
function secondsFor(tokens: number, tokensPerSecond: number): number {
  if (tokens <= 0) return 0;
  return tokensPerSecond > 0 ? tokens / tokensPerSecond : Infinity;
}

/**
 * What a request will take on a tier. Loading and waiting add up, since nothing is answered before both are over; a
 * prefix that is in the KV cache is not known here, so the prompt counts in full.
 */
export function predict(tier: TierState, { promptTokens, expectedTokens }: RequestSize): Prediction {
  const workSeconds =
    secondsFor(promptTokens, tier.prefillTokensPerSecond) +
    secondsFor(expectedTokens, tier.decodeTokensPerSecond);
  const loadSeconds = tier.isReady ? 0 : tier.loadSeconds;
  const { queueSeconds } = tier;
  return { queueSeconds, loadSeconds, workSeconds, totalSeconds: queueSeconds + loadSeconds + workSeconds };
}

/**
 * Tokens per second from what was measured, beginning with an estimate. Old measurements fade, by tokens and not by
 * time, so that an idle tier keeps its rate and one slowed by heat loses it within a few answers.
 */
export class TokenRate {
  readonly #memoryTokens: number;
  #tokens: number;
  #seconds: number;

  /**
   * @param estimate - tokens per second before there is a measurement
   * @param memoryTokens - over this many newer tokens a measurement fades to a third (1 / e)
   */
  constructor(estimate: number, memoryTokens: number) {
    this.#memoryTokens = memoryTokens;
    // The estimate weighs as much as a tenth of the memory: a single answer outweighs it.
    this.#tokens = memoryTokens / 10;
    this.#seconds = this.#tokens / estimate;
  }

  get tokensPerSecond(): number {
    return this.#tokens / this.#seconds;
  }

  /** Counts tokens that took so long together; what cannot have been measured is left out. */
  add(tokens: number, seconds: number): void {
    if (!(tokens > 0 && seconds > 0 && Number.isFinite(tokens / seconds))) return;
    const kept = Math.exp(-tokens / this.#memoryTokens);
    this.#tokens = this.#tokens * kept + tokens;
    this.#seconds = this.#seconds * kept + seconds;
  }
}
