/** Draft tokens, and those of them that the target would have said. */
export interface AcceptanceCount {
  readonly accepted: number;
  readonly proposed: number;
}

/**
 * Counts as the reference measurement of the trained pair does: every token of a text comes from a cycle of a draft and
 * a step of the target, the first one too. A session takes that one from the prompt's own step, drafts from the second
 * on and accepts a little more, because first tokens are hard to guess.
 *
 * @param ranks - of each text, for each token its place among the draft model's tokens there, from 0
 */
export function countAcceptance(ranks: readonly (readonly number[])[], draftTokens: number): AcceptanceCount {
  let accepted = 0;
  let proposed = 0;
  for (const text of ranks) {
    for (let start = 0; start < text.length;) {
      const draft = text.slice(start, start + draftTokens);
      const firstWrong = draft.findIndex((rank) => rank > 0);
      const right = firstWrong < 0 ? draft.length : firstWrong;
      proposed += draft.length;
      accepted += right;
      start += right + 1;
    }
  }
  return { accepted, proposed };
}
