import type { AirError } from "../../errors/air-error.js";

/**
 * One HTTP request and its response, with whatever may end it early: a time limit, the caller, the reader who leaves.
 * The first reason wins, and is what everything that waits on the exchange fails with.
 */
export class Exchange {
  readonly #controller = new AbortController();
  #reason: AirError | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Closes the connection when the exchange ends early; for fetch(). */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the exchange with this error, and closes the connection. */
  end(reason: AirError): void {
    this.#reason ??= reason;
    this.close();
  }

  /** Ends the exchange unless limit() or close() is called again in time. */
  limit(milliseconds: number, reason: () => AirError): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.end(reason());
    }, milliseconds);
  }

  /** The exchange is over. Closes the connection, if the response was not read to its end. Idempotent. */
  close(): void {
    clearTimeout(this.#timer);
    this.#controller.abort();
  }

  /**
   * Waits for a step of the exchange.
   *
   * @param onFailure - the error for a failure of the step that no one asked for
   * @throws the reason of an exchange that was ended
   */
  async step<Value>(work: Promise<Value>, onFailure: (cause: unknown) => AirError): Promise<Value> {
    try {
      return await work;
    } catch (cause) {
      throw this.#reason ?? onFailure(cause);
    }
  }
}
