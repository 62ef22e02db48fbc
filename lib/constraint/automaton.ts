import { unsupported } from "../model/model-errors.js";
import { at } from "../util/array-access.js";

/** No state: the bytes so far cannot become a text of the language. */
export const dead = -1;

/**
 * A deterministic automaton over bytes without dead ends: from every state that can be reached, some bytes lead to an
 * accepting one. So a token is possible exactly when its bytes do not end in `dead`.
 */
export interface Automaton {
  /** `dead` when the language is empty. */
  readonly start: number;
  /** [256] bytes of one class lead to the same state everywhere. */
  readonly classOf: Uint8Array;
  step(state: number, byte: number): number;
  accepts(state: number): boolean;
  /** Whether some byte may follow. */
  continues(state: number): boolean;
  /**
   * States of equal keys go through texts of at most `length` bytes alike, which is how counters share what is known
   * about tokens.
   */
  key(state: number, length: number): number;
}

/** How {@link tabulate} walks through an automaton that is not a table yet. */
export interface AutomatonSource<State> {
  readonly classOf: Uint8Array;
  readonly start: State;
  /** Undefined is dead; other dead ends are found by tabulate. */
  step(state: State, byte: number): State | undefined;
  accepts(state: State): boolean;
  /** Equal for equal states. */
  name(state: State): string;
}

const maxStates = 10_000;

/**
 * Visits every state, which adds those it leads to, and makes a table of them.
 *
 * @throws {AirError} AIR_ERR_UNSUPPORTED when there are too many
 */
export function tabulate<State>(source: AutomatonSource<State>): Automaton {
  const { classOf } = source;
  const classes = Math.max(...classOf) + 1;
  const sampleBytes = Array.from({ length: classes }, (_, index) => classOf.indexOf(index));
  const states: State[] = [source.start];
  const numbers = new Map([[source.name(source.start), 0]]);
  const table: number[] = [];
  for (const state of states) {
    for (const byte of sampleBytes) {
      const next = source.step(state, byte);
      table.push(next === undefined ? dead : numberOf(next));
    }
  }
  return new Table(
    classOf,
    classes,
    table,
    states.map((state) => source.accepts(state)),
  );

  function numberOf(state: State): number {
    const name = source.name(state);
    const known = numbers.get(name);
    if (known !== undefined) return known;
    if (states.length >= maxStates) {
      throw unsupported("a string or number in the schema", `at most ${maxStates} automaton states`, "more");
    }
    numbers.set(name, states.length);
    states.push(state);
    return states.length - 1;
  }
}

class Table implements Automaton {
  readonly start: number;
  readonly classOf: Uint8Array;
  readonly #classes: number;
  /** [states, classes] the next state. */
  readonly #next: Int32Array;
  /** [states] */
  readonly #accepting: readonly boolean[];
  readonly #continuing: readonly boolean[];

  constructor(classOf: Uint8Array, classes: number, table: readonly number[], accepting: readonly boolean[]) {
    this.classOf = classOf;
    this.#classes = classes;
    this.#accepting = accepting;
    const alive = canAccept(table, classes, accepting);
    this.#next = Int32Array.from(table, (next) => (next !== dead && at(alive, next) === 1 ? next : dead));
    this.#continuing = accepting.map((_, state) =>
      this.#next.subarray(state * classes, (state + 1) * classes).some((next) => next !== dead),
    );
    this.start = at(alive, 0) === 1 ? 0 : dead;
  }

  step(state: number, byte: number): number {
    return this.#next[state * this.#classes + (this.classOf[byte] ?? 0)] ?? dead;
  }

  accepts(state: number): boolean {
    return this.#accepting[state] ?? false;
  }

  continues(state: number): boolean {
    return this.#continuing[state] ?? false;
  }

  key(state: number): number {
    return state;
  }
}

/** [states] 1 where some bytes lead to an accepting state. */
function canAccept(table: readonly number[], classes: number, accepting: readonly boolean[]): Uint8Array {
  const before: number[][] = accepting.map(() => []);
  for (const [index, next] of table.entries()) {
    if (next !== dead) before[next]?.push(Math.floor(index / classes));
  }
  const alive = Uint8Array.from(accepting, Number);
  const pending = accepting.flatMap((accepts, state) => (accepts ? [state] : []));
  for (let state = pending.pop(); state !== undefined; state = pending.pop()) {
    for (const previous of at(before, state)) {
      if (alive[previous] === 1) continue;
      alive[previous] = 1;
      pending.push(previous);
    }
  }
  return alive;
}

/** Texts of both languages. */
export function intersect(left: Automaton, right: Automaton): Automaton {
  return combine(left, right, (inLeft, inRight) => inLeft && inRight, false);
}

/** Texts of the left language that are not in the right one. */
export function subtract(left: Automaton, right: Automaton): Automaton {
  return combine(left, right, (inLeft, inRight) => inLeft && !inRight, true);
}

/** Runs two automata at once. `pastRight`: goes on where the right one is dead. */
function combine(
  left: Automaton,
  right: Automaton,
  accepts: (inLeft: boolean, inRight: boolean) => boolean,
  pastRight: boolean,
): Automaton {
  return tabulate<readonly [number, number]>({
    classOf: jointClasses(left.classOf, right.classOf),
    start: [left.start, right.start],
    step: ([a, b], byte) => {
      const nextA = a === dead ? dead : left.step(a, byte);
      const nextB = b === dead ? dead : right.step(b, byte);
      return nextA === dead || (nextB === dead && !pastRight) ? undefined : [nextA, nextB];
    },
    accepts: ([a, b]) => accepts(a !== dead && left.accepts(a), b !== dead && right.accepts(b)),
    name: ([a, b]) => `${a},${b}`,
  });
}

function jointClasses(left: Uint8Array, right: Uint8Array): Uint8Array {
  const numbers = new Map<number, number>();
  return left.map((leftClass, byte) => {
    const pair = leftClass * 256 + at(right, byte);
    const number = numbers.get(pair) ?? numbers.size;
    numbers.set(pair, number);
    return number;
  });
}
