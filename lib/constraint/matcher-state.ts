import { unsupported } from "../model/model-errors.js";
import { type Automaton, dead } from "./automaton.js";
import type { Expression } from "./grammar.js";

/** A terminal in progress, and what has to follow it. */
export interface Head {
  readonly automaton: Automaton;
  readonly state: number;
  readonly following: Following;
}

/** Where a text may be in its grammar: at any of several places, while that is ambiguous. */
export interface MatcherState {
  readonly heads: readonly Head[];
  /** The text is a whole document. */
  readonly canEnd: boolean;
}

/** More than this, and the schema is refused: too many of its options look alike for too long. */
const maxWays = 1000;

/**
 * What has to follow a terminal, as a linked list. Equal lists are one object, which makes equal places equal, and lets
 * a list remember where it leads.
 */
export class Following {
  readonly #rest: { readonly expression: Expression; readonly next: Following } | undefined;
  readonly #longer = new Map<Expression, Following>();
  #entry: MatcherState | undefined;

  /** Without a rest: the end of the document. */
  constructor(rest?: { readonly expression: Expression; readonly next: Following }) {
    this.#rest = rest;
  }

  /** This list with an expression in front. */
  prepend(expression: Expression): Following {
    const known = this.#longer.get(expression);
    if (known !== undefined) return known;
    const made = new Following({ expression, next: this });
    this.#longer.set(expression, made);
    return made;
  }

  /** The state before the first byte of what follows. */
  get entry(): MatcherState {
    this.#entry ??= this.#enter();
    return this.#entry;
  }

  #enter(): MatcherState {
    if (this.#rest === undefined) return { heads: [], canEnd: true };
    const heads: Head[] = [];
    const visited = new Map<Expression, Set<Following>>();
    const pending: (readonly [Expression, Following])[] = [[this.#rest.expression, this.#rest.next]];
    for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
      const [expression, following] = place;
      const seen = visited.get(expression) ?? new Set();
      if (seen.has(following)) continue;
      visited.set(expression, seen.add(following));
      switch (expression.kind) {
        case "terminal":
          heads.push({ automaton: expression.automaton, state: expression.automaton.start, following });
          break;
        case "then":
          pending.push([expression.first, following.prepend(expression.rest)]);
          break;
        case "choice":
          for (const option of expression.options) pending.push([option, following]);
          break;
      }
    }
    return { heads, canEnd: false };
  }
}

/**
 * The state after one more byte; one without heads and end when the grammar forbids it.
 *
 * @throws {AirError} AIR_ERR_UNSUPPORTED when the grammar is too ambiguous
 */
export function step(state: MatcherState, byte: number): MatcherState {
  const heads: Head[] = [];
  let canEnd = false;
  const add = (head: Head): void => {
    if (heads.some((other) => isSame(other, head))) return;
    assertFewWays(heads.length);
    heads.push(head);
  };
  for (const { automaton, state: before, following } of state.heads) {
    const after = automaton.step(before, byte);
    if (after === dead) continue;
    if (automaton.continues(after)) add({ automaton, state: after, following });
    if (!automaton.accepts(after)) continue;
    following.entry.heads.forEach(add);
    canEnd ||= following.entry.canEnd;
  }
  return { heads, canEnd };
}

function isSame(left: Head, right: Head): boolean {
  return (
    left.automaton === right.automaton && left.state === right.state && left.following === right.following
  );
}

/** @throws {AirError} AIR_ERR_UNSUPPORTED when a text, or the tokens that may come next, can be read in so many ways */
export function assertFewWays(count: number): void {
  if (count < maxWays) return;
  throw unsupported("the schema", `fewer than ${maxWays} ways to read a text that has begun`, count);
}
