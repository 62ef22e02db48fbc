import { PageTable } from "../cache/page-table.js";
import type { PagePool } from "../cache/page-pool.js";
import { at } from "../util/array-access.js";

/**
 * - `idle`: no run; its pages are a cache that others may reclaim
 * - `running`: takes part in steps
 * - `waiting`: preempted; takes part again when another run ends
 */
export type SequenceState = "idle" | "running" | "waiting";

/**
 * A text in progress: tokens that are known, and how many of them the arena has K/V for. Prefill, decode and
 * verification are one thing: computed tokens catch up with known tokens.
 */
export class Sequence {
  readonly table: PageTable;
  state: SequenceState = "idle";
  /** Order of the current or last run among all runs of the engine; older goes first. */
  arrival = 0;
  /** Logits are wanted for every known token from this index on. */
  logitsFrom = 0;
  /** Tokens whose K/V the current run took over from earlier ones. */
  reusedTokens = 0;
  readonly #tokens: number[] = [];

  constructor(pools: readonly PagePool[], pageTokens: number) {
    this.table = new PageTable(pools, pageTokens);
  }

  /** Tokens known so far. */
  get knownTokens(): number {
    return this.#tokens.length;
  }

  /** Tokens that the arena has K/V for. */
  get computedTokens(): number {
    return this.table.length;
  }

  /** Id of a known token. */
  token(index: number): number {
    return at(this.#tokens, index);
  }

  /** Makes more tokens known. */
  append(tokens: readonly number[]): void {
    this.#tokens.push(...tokens);
  }

  /**
   * Replaces the known tokens, keeping the K/V of the common prefix; at least the tokens from `logitsFrom` on are
   * computed again, because their logits are wanted.
   */
  begin(tokens: ArrayLike<number>, logitsFrom: number): void {
    const limit = Math.min(this.computedTokens, tokens.length, logitsFrom);
    let common = 0;
    while (common < limit && this.#tokens[common] === tokens[common]) common += 1;
    this.reusedTokens = this.table.truncate(common);
    this.#tokens.length = 0;
    for (let index = 0; index < tokens.length; index += 1) this.#tokens.push(at(tokens, index));
    this.logitsFrom = logitsFrom;
  }
}
