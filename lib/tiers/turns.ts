import { AirCapacityError, type AirError, deadlineError } from "../errors/air-error.js";
import { abortedError } from "../runtime/model-core.js";
import { FairTurns } from "../util/fair-turns.js";

/** How a request stands among the others that wait; see GenerateOptions. */
export interface TurnTerms {
  readonly signal?: AbortSignal | undefined;
  readonly priority?: number | undefined;
  readonly user?: string | undefined;
  /** Milliseconds that it may wait. */
  readonly timeoutMs?: number | undefined;
}

interface Waiter {
  readonly priority: number;
  readonly user: string;
  readonly arrival: number;
  readonly grant: () => void;
  readonly refuse: (reason: AirError) => void;
}

/** Lets so many in at a time, and so many wait: by priority, users by turns, and each user's in order of arrival. */
export class Turns {
  readonly #name: string;
  readonly #maxWaiting: number;
  readonly #waiters: Waiter[] = [];
  #limit: number;
  #active = 0;
  #arrivals = 0;
  readonly #order = new FairTurns();

  constructor(name: string, limit: number, maxWaiting: number) {
    this.#name = name;
    this.#limit = limit;
    this.#maxWaiting = maxWaiting;
  }

  get active(): number {
    return this.#active;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  get limit(): number {
    return this.#limit;
  }

  /** Whether a request would be refused. */
  get isFull(): boolean {
    return this.#active >= this.#limit && this.#waiters.length >= this.#maxWaiting;
  }

  /** How many are let in from now on; those inside stay. */
  setLimit(limit: number): void {
    this.#limit = limit;
    this.#admit();
  }

  /**
   * Waits for a turn; end it with leave().
   *
   * @throws {AirError} AIR_ERR_OVERLOADED when too many wait, AIR_ERR_CANCELLED when the signal aborts, AIR_ERR_TIMEOUT
   *   when the deadline comes first
   */
  async enter(terms: TurnTerms = {}): Promise<void> {
    const { signal } = terms;
    if (signal?.aborted === true) throw abortedError(signal);
    if (this.isFull) {
      throw new AirCapacityError(
        "AIR_ERR_OVERLOADED",
        `expected fewer than ${this.#maxWaiting} waiting requests for tier ${this.#name} but received another one`,
      );
    }
    if (this.#active < this.#limit) {
      this.#active += 1;
      return;
    }
    await this.#wait(terms);
  }

  #wait({ signal, priority = 0, user = "", timeoutMs }: TurnTerms): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        if (signal !== undefined) waiter.refuse(abortedError(signal));
      };
      const end = (): void => {
        signal?.removeEventListener("abort", onAbort);
        clearTimeout(timer);
        const index = this.#waiters.indexOf(waiter);
        if (index >= 0) this.#waiters.splice(index, 1);
      };
      const waiter: Waiter = {
        priority,
        user,
        arrival: (this.#arrivals += 1),
        grant: () => {
          end();
          resolve();
        },
        refuse: (reason) => {
          end();
          reject(reason);
        },
      };
      const timer =
        timeoutMs === undefined
          ? undefined
          : setTimeout(() => {
              waiter.refuse(deadlineError());
            }, timeoutMs);
      signal?.addEventListener("abort", onAbort);
      this.#waiters.push(waiter);
    });
  }

  /** Ends a turn, and lets the next one in. */
  leave(): void {
    this.#active -= 1;
    this.#admit();
  }

  /** Refuses everybody who waits. */
  refuseAll(reason: AirError): void {
    for (const waiter of [...this.#waiters]) waiter.refuse(reason);
  }

  #admit(): void {
    while (this.#active < this.#limit) {
      this.#order.keep(this.#waiters.map(({ user }) => user));
      const next = this.#order.order(this.#waiters)[0];
      if (next === undefined) return;
      this.#order.serve(next.user, 1);
      this.#active += 1;
      next.grant();
    }
  }
}
