import { at } from "../../lib/util/array-access.js";
import { prosePrompts } from "../prompts/prose.js";

/** What both runtimes compute: texts, so that each tokenizes them by itself. */
export interface Workload {
  /** One prompt for each stream; no two begin alike, so that nothing is shared. */
  readonly streams: readonly string[];
  /** Text of which the long prompt is the first `longTokens` tokens. */
  readonly long: string;
}

/** Prompts for `streams` streams, and a text of more than `longTokens` tokens. */
export function createWorkload(streams: number, longTokens: number): Workload {
  const text = prosePrompts.join(" ");
  return {
    streams: Array.from(
      { length: streams },
      (_, index) => `${index + 1}. ${at(prosePrompts, index % prosePrompts.length)}`,
    ),
    // Tokens of English are four to five characters.
    long: Array.from({ length: Math.ceil(longTokens / 50) }, (_, index) => `Part ${index}. ${text}`).join(
      " ",
    ),
  };
}
