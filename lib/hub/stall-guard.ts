import { abortedError } from "../errors/air-error.js";
import { connectionReason, describeUrl, HubError } from "./hub-error.js";

/** Breaks an exchange when nothing comes for too long, or when the caller's signal aborts. */
export class StallGuard {
  /** For fetch(). */
  readonly signal: AbortSignal;
  readonly #stalled = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #stallMs: number;

  constructor(stallMs: number, caller: AbortSignal | undefined) {
    this.#stallMs = stallMs;
    this.#caller = caller;
    this.signal =
      caller === undefined ? this.#stalled.signal : AbortSignal.any([caller, this.#stalled.signal]);
    this.#timer = setTimeout(() => {
      this.#stalled.abort();
    }, stallMs);
  }

  /** Something came. */
  touch(): void {
    this.#timer.refresh();
  }

  /** The exchange is over: what is left of the response is dropped with its connection. */
  release(): void {
    clearTimeout(this.#timer);
    this.#stalled.abort();
  }

  /** What ended the exchange: a stall, the caller, or the connection. */
  errorOf(thrown: unknown, url: URL): Error {
    if (thrown instanceof HubError) return thrown;
    if (this.#caller?.aborted === true) return abortedError(this.#caller);
    const problem = this.#stalled.signal.aborted
      ? `nothing for ${this.#stallMs / 1000} s`
      : `a broken connection (${connectionReason(thrown)})`;
    const message = `expected an answer for ${describeUrl(url)} but received ${problem}`;
    return new HubError(message, { isTransient: true, cause: thrown });
  }
}
