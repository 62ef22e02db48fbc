/** What the scheduler needs to know of a sequence. */
export interface Schedulable {
  readonly arrival: number;
  readonly knownTokens: number;
  readonly computedTokens: number;
  readonly logitsFrom: number;
}

/** What one step can take. */
export interface StepBudget {
  readonly tokens: number;
  /** Logit rows. */
  readonly rows: number;
}

/** A sequence's part of one step: its next `tokens` known tokens, the last `rows` of them with logits. */
export interface Share<Item extends Schedulable> {
  readonly sequence: Item;
  readonly tokens: number;
  readonly rows: number;
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
  return { sequence, tokens, rows: rowsAmong(sequence, tokens) };
}

function isShortRun(sequence: Schedulable): boolean {
  return sequence.computedTokens > 0 && pendingTokens(sequence) <= shortRunTokens;
}

/**
 * Divides one step among sequences: short runs first, then prefill in order of arrival, in chunks of what is left
 * of the budget. Sequences without pending tokens, or past the budget, get no share.
 */
export function shareStep<Item extends Schedulable>(
  sequences: readonly Item[],
  budget: StepBudget,
): readonly Share<Item>[] {
  const byArrival = [...sequences].sort((a, b) => a.arrival - b.arrival);
  const ordered = [...byArrival.filter(isShortRun), ...byArrival.filter((sequence) => !isShortRun(sequence))];
  const shares: Share<Item>[] = [];
  let tokensLeft = budget.tokens;
  let rowsLeft = budget.rows;
  for (const sequence of ordered) {
    const wanted = Math.min(pendingTokens(sequence), tokensLeft);
    const excessRows = Math.max(0, rowsAmong(sequence, wanted) - rowsLeft);
    const share = shareOf(sequence, wanted - excessRows);
    if (share.tokens <= 0) continue;
    shares.push(share);
    tokensLeft -= share.tokens;
    rowsLeft -= share.rows;
  }
  return shares;
}
