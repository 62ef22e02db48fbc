import type { Asking, Sentence } from "./asking.js";
import { cueNames } from "./cue-words.js";
import { headNames } from "./request-heads.js";

/** Heads of requests that mostly ask little. */
const simpleHeads = new Set(
  [
    "verb lookup",
    "verb transform",
    "verb device",
    "verb arithmetic",
    "question count",
    "question fact",
    "question yes or no",
  ].map((name) => headNames.indexOf(name)),
);

/** Cue classes that speak for a hard request. */
export const hardCues: ReadonlySet<number> = new Set(
  [
    "verb hard",
    "system noun",
    "scale noun",
    "distributed term",
    "symptom",
    "proof term",
    "decision term",
    "institution",
    "change term",
    "plan noun",
    "abstract question",
  ].map((name) => cueNames.indexOf(name)),
);

/** Of those, the classes of words that are in any newspaper. */
const commonCues: ReadonlySet<number> = new Set(
  ["scale noun", "institution", "change term", "abstract question"].map((name) => cueNames.indexOf(name)),
);

/** Whether a cue speaks for a hard request wherever it stands. */
function isTelling(cue: number): boolean {
  return hardCues.has(cue) && !commonCues.has(cue);
}

/** Whether something is asked, and all of it begins like lookups, transformations and commands. */
export function areSimpleRequests(requests: readonly Sentence[]): boolean {
  return requests.length > 0 && requests.every(({ head }) => simpleHeads.has(head.kind));
}

/** Most words that ask in a request about pasted prose. */
const mostWordsThatAsk = 30;
/** Fewest words of context that count as pasted. */
const fewestWords = 12;
/** Largest share of hard cues among words of pasted prose; problems that are described have more. */
const mostHardShare = 0.06;

/** Words by which a request points at what was pasted. */
const pointing = /\b(this|these|that|those|here|above|below|following|text|note|mentioned|stated)\b/i;

/** Whether context reads like the facts of a calculation: numbers in the same paragraph as a question about no text. */
function isWordProblem(text: string, context: readonly string[], focus: readonly Sentence[]): boolean {
  const numbers = context.filter((word) => /\d/.test(word)).length;
  return (
    numbers >= 2 && !text.trim().includes("\n") && !focus.some((sentence) => pointing.test(sentence.text))
  );
}

/**
 * The asking without context that is pasted prose rather than a problem: what is asked is short and simple, and the
 * context has few words that hard requests have, such as a recipe with "does this contain nuts?".
 */
export function withoutPastedProse(text: string, asking: Asking): Asking {
  const { sentences, focus, focusWords } = asking;
  const asked = new Set(focus);
  const context = sentences.filter((sentence) => !asked.has(sentence));
  const words = context.flatMap((sentence) => sentence.words);
  if (words.length < fewestWords || focusWords.length > mostWordsThatAsk || !areSimpleRequests(focus))
    return asking;
  if (isWordProblem(text, words, focus)) return asking;
  const hard = context.flatMap((sentence) => sentence.cues).filter(isTelling).length;
  if (hard > words.length * mostHardShare) return asking;
  return { words: focusWords, sentences: focus, focus, focusWords };
}
