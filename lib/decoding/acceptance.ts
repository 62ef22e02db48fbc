import { at } from "../util/array-access.js";
import { rngPurposes, uniform } from "../util/rng.js";
import { extendHistory, type TokenHistory } from "./penalties.js";
import type { Draft } from "./proposer.js";
import type { RowMath } from "./row-math.js";
import type { Guess, Sample, Sampler } from "./sampler.js";

/**
 * How draft tokens are accepted at temperatures above 0. Both give exactly the target's distribution.
 *
 * - `coupled`: the target draws as it would without drafts, and a draft token is accepted if it is what was drawn. The
 *   draft model draws with the same random numbers, so it mostly is (Daliri, Musco, Suresh, arXiv 2408.07978). A seed
 *   gives the same text whatever is drafted, by whom, or not at all.
 * - `rejection`: a draft token x is accepted with probability min(1, p(x) / q(x)), else a token is recovered from the
 *   residual distribution (Leviathan et al., arXiv 2211.17192; Chen et al., arXiv 2302.01318). It accepts somewhat
 *   more; a seed's text depends on how much is drafted.
 */
export type AcceptanceRule = "coupled" | "rejection";

/** One token to be accepted or rejected. */
export interface RejectionStep {
  /** [vocabSize] the target's distribution p; overwritten when the token is rejected. */
  readonly target: Float32Array;
  /** [vocabSize] the distribution q that the token was drawn from; undefined when it was certain (q(token) = 1). */
  readonly draft: Float32Array | undefined;
  readonly token: number;
  readonly seed: number;
  /** Of the token in the text. */
  readonly position: number;
}

/**
 * The rejection rule for one draft token: accepted with probability min(1, p / q), else recovered from
 * normalise(max(0, p - q)). The result is distributed as p.
 *
 * @returns the token that the text goes on with (the draft token if that was accepted), and its probability in the
 *   distribution that it was taken from
 */
export function acceptOrRecover(maths: RowMath, step: RejectionStep): Guess {
  const { target, draft, token, seed, position } = step;
  const p = at(target, token);
  const q = draft === undefined ? 1 : at(draft, token);
  if (uniform(seed, position, "accept") * q < p) return { token, probability: p };
  if (draft !== undefined) maths.residualRow(target, draft, target);
  else target[token] = 0; // max(0, p - 1); drawing does not need the weights normalised
  const recovered = maths.sampleRow(target, undefined, seed, position, rngPurposes.residual);
  return { token: recovered, probability: at(target, recovered) };
}

/** What {@link verify} works on. */
export interface Verification {
  /** [rows, vocabSize] the target's logits after the last known token and after each draft token; overwritten. */
  readonly rows: readonly Float32Array[];
  /** Its tokens are those of rows 1 and up; there may be more. */
  readonly draft: Draft | undefined;
  /** The text that row 0 follows. */
  readonly history: TokenHistory;
}

/** What {@link verify} found. */
export interface Verdict {
  /** The tokens that the text goes on with; fewer than decided when it ended. */
  readonly tokens: readonly number[];
  /** Draft tokens that the text took over, one that ended it included. */
  readonly accepted: number;
}

/**
 * Chooses the tokens that follow a text from the rows of a draft: the accepted draft tokens, and the recovered or bonus
 * token after them.
 *
 * @param take - gets each token as it is decided, and whether it is an accepted draft token; tells whether the text goes
 *   on
 */
export function verify(
  choose: (row: Float32Array, history: TokenHistory, draft: Draft | undefined, index: number) => Sample,
  { rows, draft, history }: Verification,
  take: (sample: Sample, isDrafted: boolean) => boolean,
): Verdict {
  const tokens: number[] = [];
  let accepted = 0;
  const text = extendHistory(history, tokens);
  for (const [index, row] of rows.entries()) {
    const sample = choose(row, text, draft, index);
    const isAccepted = sample.token === draft?.tokens[index];
    // The last row decides a draft token only if the step had no room for its own row.
    const isDrafted = isAccepted && index + 1 < rows.length;
    if (isDrafted) accepted += 1;
    if (!take(sample, isDrafted)) break;
    tokens.push(sample.token);
    if (!isAccepted) break;
  }
  return { tokens, accepted };
}

/** Chooses the token of one verified row by a rule; `index` counts the draft's tokens. */
export function createChooser(
  rule: AcceptanceRule,
  { sampler, maths, seed }: { readonly sampler: Sampler; readonly maths: RowMath; readonly seed: number },
): (row: Float32Array, history: TokenHistory, draft: Draft | undefined, index: number) => Sample {
  return (row, history, draft, index) => {
    const token = draft?.tokens[index];
    if (rule === "coupled" || token === undefined) return sampler.sample(row, history);
    return sampler.sample(row, history, (target, position) =>
      acceptOrRecover(maths, { target, draft: draft?.distributions?.[index], token, seed, position }),
    );
  };
}
