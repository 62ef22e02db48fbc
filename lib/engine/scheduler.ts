import { byRank, type Ranked } from "./rank.js";

/** What the scheduler needs to know of a sequence. */
export interface Schedulable extends Ranked {
  readonly knownTokens: number;
  readonly computedTokens: number;
  readonly logitsFrom: number;
}

/** What one step can take. */
export interface StepBudget {
  readonly tokens: number;
  /** Logit rows. */
  readonly rows: number;
  /** Most tokens of prompts in a step that has so many other tokens. */
  readonly promptTokens: (decodeTokens: number) => number;
}

/** A sequence's part of one step: its next `tokens` known tokens, the last `rows` of them with logits. */
export interface Share<Item extends Schedulable> {
  readonly sequence: Item;
  readonly tokens: number;
  readonly rows: number;
  /** Whether the tokens are those of a prompt, not the next of a text that is being generated. */
  readonly isPrompt: boolean;
}

/** Up to this many pending tokens are decode or verification and go before prefill, so that streams do not stall. */
const shortRunTokens = 16;

function pendingTokens(sequence: Schedulable): number {
  return sequence.knownTokens - sequence.computedTokens;
}

function rowsAmong(sequence: Schedulable, tokens: number): number {
  const end = sequence.computedTokens + tokens;
  return Math.max(0, end - Math.max(sequence.logitsFrom, sequence.computedTokens));
}

/** The sequence's next share of at most `tokens` tokens. */
export function shareOf<Item extends Schedulable>(sequence: Item, tokens: number): Share<Item> {
  return { sequence, tokens, rows: rowsAmong(sequence, tokens), isPrompt: !isShortRun(sequence) };
}

function isShortRun(sequence: Schedulable): boolean {
  return sequence.computedTokens > 0 && pendingTokens(sequence) <= shortRunTokens;
}

/** Hands out what one step can take. */
class StepShares<Item extends Schedulable> {
  readonly shares: Share<Item>[] = [];
  tokens = 0;
  #rowsLeft: number;

  constructor(rows: number) {
    this.#rowsLeft = rows;
  }

  /** Gives a sequence at most `tokens` tokens, and nothing where no row is left for them. */
  give(sequence: Item, tokens: number): void {
    const wanted = Math.min(pendingTokens(sequence), tokens);
    const excessRows = Math.max(0, rowsAmong(sequence, wanted) - this.#rowsLeft);
    const share = shareOf(sequence, wanted - excessRows);
    if (share.tokens <= 0) return;
    this.shares.push(share);
    this.tokens += share.tokens;
    this.#rowsLeft -= share.rows;
  }
}

/**
 * Divides one step among sequences: short runs first, by rank, then prompts in turn, in chunks of what is left of the
 * budget. Sequences without pending tokens, or past the budget, get no share.
 *
 * @param inTurn - sorts the sequences that compute a prompt
 */
export function shareStep<Item extends Schedulable>(
  sequences: readonly Item[],
  budget: StepBudget,
  inTurn: (prompts: readonly Item[]) => readonly Item[],
): readonly Share<Item>[] {
  const step = new StepShares<Item>(budget.rows);
  for (const sequence of sequences.filter(isShortRun).sort(byRank)) {
    step.give(sequence, budget.tokens - step.tokens);
  }
  const most = Math.min(budget.tokens, step.tokens + budget.promptTokens(step.tokens));
  for (const sequence of inTurn(sequences.filter((other) => !isShortRun(other)))) {
    step.give(sequence, most - step.tokens);
  }
  return step.shares;
}
