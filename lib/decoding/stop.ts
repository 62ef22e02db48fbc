/** Text that may go out, and whether a stop string ended it. */
export interface StopResult {
  readonly text: string;
  readonly stopped: boolean;
}

/**
 * Watches a stream of text for stop strings, across the borders of its pieces. Text that may be the start of a stop
 * string is held back until that is settled, so what goes out never holds any part of the one that ended it.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = "";

  /** @param stops - stop strings, none of them empty */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** Takes the next piece. After a result with `stopped`, the matcher is done. */
  push(piece: string): StopResult {
    const text = this.#held + piece;
    const starts = this.#stops.map((stop) => text.indexOf(stop)).filter((start) => start >= 0);
    if (starts.length > 0) {
      this.#held = "";
      return { text: text.slice(0, Math.min(...starts)), stopped: true };
    }
    const keep = Math.max(0, ...this.#stops.map((stop) => overlap(text, stop)));
    this.#held = text.slice(text.length - keep);
    return { text: text.slice(0, text.length - keep), stopped: false };
  }

  /** Returns what is held back, when no more text comes. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }
}

/** Length of the longest proper prefix of `stop` that `text` ends with. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(stop.length - 1, text.length); length > 0; length -= 1) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
