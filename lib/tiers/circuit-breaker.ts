import { integerFrom } from "../util/options.js";

/** When a breaker opens, and for how long. */
export interface BreakerSettings {
  /** As many failures, without an answer that came to its end in between, open the breaker. */
  readonly failures: number;
  /** Milliseconds after which a failure no longer counts. */
  readonly windowMs: number;
  /** Milliseconds for which an open breaker lets nothing through. */
  readonly openMs: number;
}

/** Fields of a schema of {@link BreakerSettings}. */
export const breakerShape = {
  failures: integerFrom(1, 1000).default(5),
  windowMs: integerFrom(1, 86_400_000).default(60_000),
  openMs: integerFrom(1, 86_400_000).default(30_000),
};

/**
 * - `closed`: requests go through
 * - `open`: none does
 * - `half-open`: one may, or is on its way, to see whether the endpoint is back
 */
export type BreakerState = "closed" | "open" | "half-open";

/** A request's way through the breaker. It ends with completed(), failed() or released(); later calls do nothing. */
export interface BreakerPass {
  /** The endpoint answers. Closes the breaker if this was the request that tried it out. */
  answered(): void;
  /** The whole answer came. */
  completed(): void;
  /** The endpoint failed, before or in the middle of the answer. */
  failed(): void;
  /** The request ended for a reason that says nothing about the endpoint. */
  released(): void;
}

/**
 * Keeps requests away from an endpoint that fails, and finds out when it is back.
 *
 * An answer that streams has two outcomes: whether it begins, and whether it comes to its end. A breaker that begins to
 * trust an endpoint closes with the first, so that others need not wait for a long answer, but stays on probation until
 * the second: one more failure opens it again. Failures are cleared by whole answers only, because an endpoint that cuts
 * off every answer would look healthy otherwise.
 */
export class CircuitBreaker {
  readonly #settings: BreakerSettings;
  readonly #now: () => number;
  /** Times of failures since the last whole answer, the oldest first. */
  #failures: readonly number[] = [];
  #openedAt: number | undefined;
  #trial: BreakerPass | undefined;
  #isOnProbation = false;
  #timesOpened = 0;

  /** @param now - milliseconds of a clock that never goes back */
  constructor(settings: BreakerSettings, now: () => number) {
    this.#settings = settings;
    this.#now = now;
  }

  get state(): BreakerState {
    if (this.#openedAt === undefined) return "closed";
    return this.retryInMs > 0 ? "open" : "half-open";
  }

  /** Whether enter() would let a request through. */
  get isAdmitting(): boolean {
    return this.state === "closed" || (this.state === "half-open" && this.#trial === undefined);
  }

  /** Milliseconds until a request may try the endpoint again; 0 when one may, or does. */
  get retryInMs(): number {
    if (this.#openedAt === undefined) return 0;
    return Math.max(0, this.#openedAt + this.#settings.openMs - this.#now());
  }

  /** Failures that count now. */
  get failures(): number {
    return this.#recentFailures().length;
  }

  get timesOpened(): number {
    return this.#timesOpened;
  }

  /** Lets a request through, or returns undefined. */
  enter(): BreakerPass | undefined {
    if (!this.isAdmitting) return undefined;
    let isOver = false;
    const end = (action: () => void): void => {
      if (isOver) return;
      isOver = true;
      action();
    };
    const pass: BreakerPass = {
      answered: () => {
        if (!isOver) this.#answered(pass);
      },
      completed: () => {
        end(() => {
          this.#answered(pass);
          this.#completed();
        });
      },
      failed: () => {
        end(() => {
          this.#failed(pass);
        });
      },
      released: () => {
        end(() => {
          if (this.#trial === pass) this.#trial = undefined;
        });
      },
    };
    if (this.#openedAt !== undefined) this.#trial = pass;
    return pass;
  }

  /** Something else shows that the endpoint is there: the next request may try it at once. */
  allowTrial(): void {
    if (this.#openedAt !== undefined) this.#openedAt = -Infinity;
  }

  #answered(pass: BreakerPass): void {
    if (this.#trial !== pass) return;
    this.#trial = undefined;
    this.#openedAt = undefined;
    this.#failures = [];
    this.#isOnProbation = true;
  }

  /** An answer that began before the breaker opened says nothing about what happened since. */
  #completed(): void {
    if (this.#openedAt !== undefined) return;
    this.#failures = [];
    this.#isOnProbation = false;
  }

  #failed(pass: BreakerPass): void {
    if (this.#trial === pass) this.#open();
    if (this.#openedAt !== undefined) return;
    this.#failures = [...this.#recentFailures(), this.#now()];
    if (this.#isOnProbation || this.#failures.length >= this.#settings.failures) this.#open();
  }

  #open(): void {
    this.#trial = undefined;
    this.#isOnProbation = false;
    this.#openedAt = this.#now();
    this.#timesOpened += 1;
  }

  #recentFailures(): readonly number[] {
    const start = this.#now() - this.#settings.windowMs;
    return this.#failures.filter((time) => time > start);
  }
}
