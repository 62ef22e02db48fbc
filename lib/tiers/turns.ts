import { AirCapacityError, type AirError } from "../errors/air-error.js";
import { abortedError } from "../runtime/model-core.js";

interface Waiter {
  readonly grant: () => void;
  readonly refuse: (reason: AirError) => void;
}

/** Lets so many in at a time, and so many wait, in order of arrival. */
export class Turns {
  readonly #name: string;
  readonly #maxWaiting: number;
  readonly #waiters: Waiter[] = [];
  #limit: number;
  #active = 0;

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
   * @throws {AirError} AIR_ERR_OVERLOADED when too many wait, AIR_ERR_CANCELLED when the signal aborts
   */
  async enter(signal: AbortSignal | undefined): Promise<void> {
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
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        if (signal !== undefined) waiter.refuse(abortedError(signal));
      };
      const end = (): void => {
        signal?.removeEventListener("abort", onAbort);
        const index = this.#waiters.indexOf(waiter);
        if (index >= 0) this.#waiters.splice(index, 1);
      };
      const waiter: Waiter = {
        grant: () => {
          end();
          resolve();
        },
        refuse: (reason) => {
          end();
          reject(reason);
        },
      };
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
      const next = this.#waiters[0];
      if (next === undefined) return;
      this.#active += 1;
      next.grant();
    }
  }
}
