import type { PageTable } from "../cache/page-table.js";
import type { PrefixNode } from "../cache/prefix-index.js";
import { at } from "../util/array-access.js";

/**
 * - `idle`: no run; its pages are a cache that others may reclaim
 * - `running`: takes part in steps
 * - `waiting`: has a run that waits for pages to begin, or was preempted; what pages it has are a cache too
 */
export type SequenceState = "idle" | "running" | "waiting";

/**
 * A text in progress: tokens that are known, and how many of them the arena has K/V for. Prefill, decode and
 * verification are one thing: computed tokens catch up with known tokens.
 */
export class Sequence {
  readonly table: PageTable;
  state: SequenceState = "idle";
  /** Order of the current or last run among all runs of the engine. */
  arrival = 0;
  /** Order in which the current run was let in among those of the engine; undefined until it was. */
  admission: number | undefined;
  /** Of the current run: higher goes before lower. */
  priority = 0;
  /** On whose behalf the current run is; see FairTurns of lib/util. */
  user = "";
  /** Logits are wanted for every known token from this index on. */
  logitsFrom = 0;
  /** Tokens past the known ones that the current run's steps may compute by themselves. */
  spareTokens = 0;
  /** Tokens whose K/V the current run took over from earlier ones, of this sequence or others. */
  reusedTokens = 0;
  /** By head group, the attention that the last step paid to each page, if the policy looks at it. */
  pageMass: readonly Float32Array[] = [];
  /** Which texts it may share pages with: those of sequences with the same key. */
  readonly prefixKey: string;
  /** The last page of the text that the prefix cache was seen to know. */
  prefix: PrefixNode | undefined;
  /** Full pages of the text that the prefix cache was told of. */
  registeredPages = 0;
  /** Whether the current run asked the prefix cache for pages, and whether it got any. */
  lookedUp = false;
  tookOver = false;
  readonly #tokens: number[] = [];
  #draftTokens = 0;
  #runTokens = 0;

  constructor(table: PageTable, prefixKey: string) {
    this.table = table;
    this.prefixKey = prefixKey;
  }

  /** Tokens at the end that are guesses, until settle(). */
  get draftTokens(): number {
    return this.#draftTokens;
  }

  /** Tokens known so far, the guesses included. */
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

  /** Adds guesses of the tokens that follow, to be computed along with the last known one. */
  draft(tokens: readonly number[]): void {
    this.#tokens.push(...tokens);
    this.#draftTokens += tokens.length;
  }

  /** Puts the tokens that really follow in place of the guesses. The K/V of guesses that came true stay. */
  settle(tokens: readonly number[]): void {
    const base = this.#tokens.length - this.#draftTokens;
    let kept = 0;
    while (kept < Math.min(this.#draftTokens, tokens.length) && tokens[kept] === this.#tokens[base + kept]) {
      kept += 1;
    }
    if (this.#draftTokens > 0) {
      this.#tokens.length = base + kept;
      this.table.truncate(base + kept);
    }
    this.#draftTokens = 0;
    for (const token of tokens.slice(kept)) this.#tokens.push(token);
  }

  /**
   * Replaces the known tokens, keeping the K/V of the common prefix; at least the tokens from `logitsFrom` on are
   * computed again, because their logits are wanted.
   */
  begin(tokens: ArrayLike<number>, logitsFrom: number): void {
    const common = this.commonTokens(tokens);
    this.reusedTokens = this.table.truncate(Math.min(common, logitsFrom));
    this.#know(tokens, common);
    this.logitsFrom = logitsFrom;
    this.#runTokens = tokens.length;
    this.lookedUp = false;
    this.tookOver = false;
  }

  /** Replaces the K/V by those of full pages that hold the beginning of the known tokens; by head group. */
  adopt(pages: readonly (readonly number[])[]): void {
    this.table.release();
    this.table.adopt(pages);
    this.reusedTokens = Math.max(this.reusedTokens, Math.min(this.computedTokens, this.#runTokens));
  }

  /** An idle sequence that knows the same tokens and shares the K/V. */
  fork(): Sequence {
    const fork = new Sequence(this.table.fork(), this.prefixKey);
    fork.#know(this.#tokens, 0);
    fork.prefix = this.prefix;
    fork.registeredPages = this.registeredPages;
    fork.pageMass = this.pageMass;
    return fork;
  }

  /** The tokens that have K/V. */
  computed(): readonly number[] {
    return this.#tokens.slice(0, this.computedTokens);
  }

  /** Gives an empty sequence the tokens of a restored table. */
  restore(tokens: readonly number[]): void {
    this.#know(tokens, 0);
  }

  /** Length of the prefix that `tokens` has in common with the tokens that have K/V. */
  commonTokens(tokens: ArrayLike<number>): number {
    const limit = Math.min(this.computedTokens, tokens.length);
    let common = 0;
    while (common < limit && this.#tokens[common] === tokens[common]) common += 1;
    return common;
  }

  #know(tokens: ArrayLike<number>, common: number): void {
    // The pages before the first new token stay those of the same text.
    const pages = Math.floor(common / this.table.pageTokens);
    if ((this.prefix?.depth ?? 0) > pages) this.prefix = undefined;
    this.registeredPages = Math.min(this.registeredPages, pages);
    this.#tokens.length = common;
    this.#draftTokens = 0;
    for (let index = common; index < tokens.length; index += 1) this.#tokens.push(at(tokens, index));
  }
}
