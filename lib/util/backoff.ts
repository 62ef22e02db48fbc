/** The longest backoff, whatever the attempt, in milliseconds. */
const maxBackoffMs = 8000;

/** What decides whether to try again. */
export interface RetryState {
  /** Attempts made so far, from 1. */
  readonly attempts: number;
  /** What the endpoint asked for, in milliseconds, if it did. */
  readonly retryAfterMs?: number | undefined;
  /** Milliseconds that are left for the answer to begin. */
  readonly remainingMs: number;
  /** Uniform in [0, 1). */
  readonly random: number;
}

/** How often and how soon to try again. */
export interface RetrySettings {
  readonly retries: number;
  readonly retryBaseMs: number;
  readonly retryAfterLimitMs: number;
}

/**
 * Milliseconds to wait before the next attempt, or undefined when there should be none: attempts or time are used up, or
 * the endpoint asks for a longer pause than anybody would wait.
 *
 * The pause is uniform between 0 and twice as much for every attempt ("full jitter" in "Exponential Backoff And Jitter",
 * AWS Architecture Blog, 2015), so that clients that failed together do not come back together. Retry-After is a lower
 * bound, with the jitter of a first attempt on top for the same reason.
 */
export function retryDelayMs(settings: RetrySettings, state: RetryState): number | undefined {
  const { attempts, retryAfterMs, remainingMs, random } = state;
  if (attempts > settings.retries) return undefined;
  if (retryAfterMs !== undefined && retryAfterMs > settings.retryAfterLimitMs) return undefined;
  const delay =
    retryAfterMs === undefined
      ? random * Math.min(maxBackoffMs, settings.retryBaseMs * 2 ** (attempts - 1))
      : retryAfterMs + random * settings.retryBaseMs;
  return delay < remainingMs ? delay : undefined;
}

/**
 * Milliseconds that a Retry-After header asks for (RFC 9110, section 10.2.3: seconds, or a date), or undefined when it is
 * absent or makes no sense.
 *
 * @param now - milliseconds since 1970
 */
export function parseRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  if (/^\s*\d+(\.\d+)?\s*$/.test(header)) return Number(header) * 1000;
  const time = /[a-z]/i.test(header) ? Date.parse(header) : Number.NaN;
  return Number.isNaN(time) ? undefined : Math.max(0, time - now);
}
