import { at } from "../util/array-access.js";

/** How strongly tokens that occurred lately are discouraged. */
export interface PenaltyOptions {
  /** Above 1 discourages; 1 is off. */
  readonly repetitionPenalty: number;
  /** Above 0 discourages; 0 is off. */
  readonly presencePenalty: number;
  /** Above 0 discourages; 0 is off. */
  readonly frequencyPenalty: number;
  /** How many of the last tokens, of prompt and output together, count; 0 is none. */
  readonly penaltyLastN: number;
}

/** The tokens so far. */
export interface TokenHistory {
  readonly length: number;
  token(index: number): number;
}

/** The text that goes on with `added`, which may grow afterwards. */
export function extendHistory(text: TokenHistory, added: readonly number[]): TokenHistory {
  return {
    get length() {
      return text.length + added.length;
    },
    token: (index) => (index < text.length ? text.token(index) : at(added, index - text.length)),
  };
}

/** Whether any penalty is on. */
export function hasPenalties({
  repetitionPenalty,
  presencePenalty,
  frequencyPenalty,
}: PenaltyOptions): boolean {
  return repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
}

/**
 * Changes the logit z of every token that occurs c > 0 times in the last `penaltyLastN` tokens, in this order:
 *
 *  - repetition r (CTRL, arXiv 1909.05858, section 4.1): z = z / r where z > 0, else z * r
 *  - presence p and frequency f: z = z - p - f * c
 *
 * @returns whether any penalty is on
 */
export function applyPenalties(row: Float32Array, history: TokenHistory, options: PenaltyOptions): boolean {
  if (!hasPenalties(options)) return false;
  const { repetitionPenalty, presencePenalty, frequencyPenalty, penaltyLastN } = options;
  const counts = new Map<number, number>();
  for (let index = Math.max(0, history.length - penaltyLastN); index < history.length; index += 1) {
    const token = history.token(index);
    counts.set(token, (counts.get(token) ?? 0) + 1);
  }
  for (const [token, count] of counts) {
    const logit = row[token];
    if (logit === undefined) continue;
    const repeated = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    row[token] = repeated - presencePenalty - frequencyPenalty * count;
  }
  return true;
}
