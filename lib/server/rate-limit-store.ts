interface Window {
  count: number;
  startMs: number;
}

/** Clients that are remembered; the one that was not heard of for the longest time is forgotten first. */
const maxClients = 5000;

type Callback = (error: Error | null, result?: { readonly current: number; readonly ttl: number }) => void;

/**
 * Counts requests in windows of time by a clock that nobody sets. By the time of day, a client could be locked out until
 * a clock that was set back has caught up.
 */
export class SteadyRateStore {
  readonly #windows = new Map<string, Window>();
  readonly #now: () => number;

  /** @param _options - of the plugin, which makes the store; without use here */
  constructor(_options?: unknown, now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Counts a request. */
  incr(key: string, callback: Callback, timeWindow: number): void {
    const now = this.#now();
    const known = this.#windows.get(key);
    const window =
      known === undefined || now - known.startMs >= timeWindow ? { count: 0, startMs: now } : known;
    window.count += 1;
    this.#windows.delete(key); // to the end of the order
    this.#windows.set(key, window);
    if (this.#windows.size > maxClients) {
      const [oldest] = this.#windows.keys();
      if (oldest !== undefined) this.#windows.delete(oldest);
    }
    callback(null, { current: window.count, ttl: Math.ceil(timeWindow - (now - window.startMs)) });
  }

  /** What was counted, without counting. */
  read(key: string, callback: Callback, timeWindow: number): void {
    const now = this.#now();
    const window = this.#windows.get(key);
    const isAlive = window !== undefined && now - window.startMs < timeWindow;
    callback(
      null,
      isAlive
        ? { current: window.count, ttl: Math.ceil(timeWindow - (now - window.startMs)) }
        : { current: 0, ttl: 0 },
    );
  }

  /** The store of a route: what a client asks of all routes counts together. */
  child(): this {
    return this;
  }
}
