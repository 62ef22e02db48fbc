import { hashStart, hashWord } from "../../lib/routing/hashing.js";
import type { ExpandedPrompt } from "./expand.js";

/** Prompts to train on, and prompts whose families, and whose topics, were not trained on. */
export interface Split {
  readonly train: readonly ExpandedPrompt[];
  /** Families that were held out of topics that were trained on. */
  readonly heldOutFamilies: readonly ExpandedPrompt[];
  /** Whole topics that were held out. */
  readonly heldOutTopics: readonly ExpandedPrompt[];
}

/** A number in [0, 1) that depends on a name and the part alone. */
function shareOf(name: string, part: number): number {
  return (hashWord(hashStart(1000 + part), name) >>> 0) / 2 ** 32;
}

/**
 * Holds out whole topics, and of other topics whole families.
 *
 * @param part - which of the possible splits
 */
export function splitPrompts(
  prompts: readonly ExpandedPrompt[],
  part: number,
  { topics = 0.15, families = 0.12 } = {},
): Split {
  const isTopicOut = ({ topic }: ExpandedPrompt): boolean => shareOf(`topic ${topic}`, part) < topics;
  const isFamilyOut = ({ family }: ExpandedPrompt): boolean => shareOf(`family ${family}`, part) < families;
  return {
    train: prompts.filter((prompt) => !isTopicOut(prompt) && !isFamilyOut(prompt)),
    heldOutFamilies: prompts.filter((prompt) => !isTopicOut(prompt) && isFamilyOut(prompt)),
    heldOutTopics: prompts.filter(isTopicOut),
  };
}
