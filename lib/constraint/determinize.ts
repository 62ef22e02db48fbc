import { unsupported } from "../model/model-errors.js";
import { at } from "../util/array-access.js";
import { type Automaton, tabulate } from "./automaton.js";
import type { Regular } from "./regular.js";

interface Edge {
  readonly low: number;
  readonly high: number;
  readonly to: number;
}

const maxParts = 50_000;

/**
 * The automaton of a regular expression: Thompson's construction, then subsets.
 *
 * @throws {AirError} AIR_ERR_UNSUPPORTED when it is too large
 */
export function toAutomaton(expression: Regular): Automaton {
  const parts = new Parts();
  const end = parts.add(expression, 0);
  // One state is asked about all bytes before the next.
  let current: readonly number[] = [];
  let edges: readonly Edge[] = [];
  return tabulate<readonly number[]>({
    classOf: parts.byteClasses(),
    start: parts.closure([0]),
    step: (states, byte) => {
      if (states !== current) edges = states.flatMap((state) => parts.edges(state));
      current = states;
      const next = edges.filter(({ low, high }) => low <= byte && byte <= high);
      return next.length === 0 ? undefined : parts.closure(next.map(({ to }) => to));
    },
    accepts: (states) => states.includes(end),
    name: (states) => states.join(),
  });
}

/** A nondeterministic automaton; its states are numbers, 0 the first. */
class Parts {
  readonly #edges: Edge[][] = [[]];
  readonly #jumps: number[][] = [[]];

  /** Adds an expression behind a state and returns the state behind the expression. */
  add(expression: Regular, from: number): number {
    switch (expression.kind) {
      case "bytes": {
        const to = this.#create();
        this.#edges[from]?.push({ low: expression.low, high: expression.high, to });
        return to;
      }
      case "sequence":
        return expression.items.reduce((state, item) => this.add(item, state), from);
      case "choice": {
        const end = this.#create();
        // Nothing ever leads back to `from`, so options may share it.
        for (const option of expression.options) this.#jump(this.add(option, from), end);
        return end;
      }
      case "repeat":
        return this.#addRepeat(expression.item, expression.min, expression.max, from);
    }
  }

  #addRepeat(item: Regular, min: number, max: number, from: number): number {
    let state = from;
    for (let count = 0; count < min; count += 1) state = this.add(item, state);
    const end = this.#create();
    if (max === Infinity) {
      const loop = this.#create();
      this.#jump(state, loop);
      this.#jump(this.add(item, loop), loop);
      this.#jump(loop, end);
      return end;
    }
    this.#jump(state, end);
    for (let count = min; count < max; count += 1) {
      state = this.add(item, state);
      this.#jump(state, end);
    }
    return end;
  }

  /** [256] bytes that no edge tells apart share a class. */
  byteClasses(): Uint8Array {
    const starts = new Uint8Array(257);
    for (const { low, high } of this.#edges.flat()) starts[low] = starts[high + 1] = 1;
    let current = 0;
    return Uint8Array.from({ length: 256 }, (_, byte) =>
      byte > 0 && starts[byte] === 1 ? ++current : current,
    );
  }

  edges(state: number): readonly Edge[] {
    return at(this.#edges, state);
  }

  /** What the states reach without a byte, themselves included, ascending. */
  closure(states: readonly number[]): readonly number[] {
    const found = new Set(states);
    for (const state of found) for (const next of at(this.#jumps, state)) found.add(next);
    return [...found].sort((a, b) => a - b);
  }

  #create(): number {
    if (this.#edges.length >= maxParts) {
      throw unsupported("a string or number in the schema", `a pattern of at most ${maxParts} parts`, "more");
    }
    this.#edges.push([]);
    this.#jumps.push([]);
    return this.#edges.length - 1;
  }

  #jump(from: number, to: number): void {
    this.#jumps[from]?.push(to);
  }
}
