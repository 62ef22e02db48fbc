import { cueNames, cuesOfPhrase, cuesOfWord } from "./cue-words.js";
import type { PromptParts } from "./prompt-parts.js";
import { headNames, headOf, type RequestHead } from "./request-heads.js";

/** Words of a text in lower case, in order, and the sentences that they make up. */
export interface WordedText {
  readonly words: readonly string[];
  readonly sentences: readonly (readonly string[])[];
}

/** Longest word that is read; what is longer is no word. */
const longestWord = 32;
/** Most sentences whose heads are looked at, from the start; the last one always is. */
const mostSentences = 12;

/** Words of a text, split into sentences at . ? ! ; and line breaks. */
export function wordsOf(text: string): WordedText {
  const lower = text.toLowerCase().replaceAll("\u2019", "'");
  const sentences = lower
    .split(/[.?!;]+(?=\s|$)|\n+/)
    .map((sentence) => (sentence.match(/[\p{L}\p{N}']+/gu) ?? []).map((word) => word.slice(0, longestWord)))
    .filter((sentence) => sentence.length > 0);
  return { words: sentences.flat(), sentences };
}

/** Upper ends of the ranges of word counts, each a feature of its own: length does not act in a straight line. */
const wordRanges = [3, 6, 10, 16, 25, 40, 70, 130] as const;

const numericNames = [
  "words",
  "pasted characters",
  "total characters",
  "sentences",
  "questions",
  "requests",
  "commas",
  "numbers",
  "maths",
  "inline code",
  "list items",
  "long words",
  "mean word length",
  "abbreviations",
  "fences",
  "code lines",
  "log lines",
  "table or data lines",
  "turns",
  "system message",
  "ends in a question mark",
  "first person plural",
  "hyphens",
  "hard cues per word",
  "pasted and simple verb",
  "conjunctions",
] as const;

/** Names of the readable features, in the order of the router file. */
export const readableNames: readonly string[] = [
  ...numericNames,
  ...wordRanges.map((most) => `at most ${most} words`),
  ...cueNames.map((name) => `cue ${name}`),
  ...headNames.map((name) => `begins with ${name}`),
  ...headNames.map((name) => `ends with ${name}`),
  ...headNames.map((name) => `asks ${name}`),
];

const cueIndex = (name: string): number => cueNames.indexOf(name);
const hardCues = new Set(
  [
    "verb hard",
    "system noun",
    "scale noun",
    "distributed term",
    "symptom",
    "proof term",
    "decision term",
  ].map(cueIndex),
);
const lookupHeads = new Set(
  ["verb lookup", "verb transform", "verb device"].map((name) => headNames.indexOf(name)),
);

/** [cueNames] how often words of each class occur. */
function cueCounts(words: readonly string[]): Float64Array {
  const counts = new Float64Array(cueNames.length);
  const add = (classes: readonly number[]): void => {
    for (const index of classes) counts[index] = (counts[index] ?? 0) + 1;
  };
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i] ?? "";
    add(cuesOfWord(word));
    if (i + 1 >= words.length) continue;
    const pair = `${word}_${words[i + 1] ?? ""}`;
    add(cuesOfPhrase(pair));
    if (i + 2 < words.length) add(cuesOfPhrase(`${pair}_${words[i + 2] ?? ""}`));
  }
  return counts;
}

function countOf(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

/** Heads of the first sentences and of the last. */
export function headsOf({ sentences }: WordedText): readonly RequestHead[] {
  const heads = sentences.slice(0, mostSentences).map(headOf);
  const last = sentences.at(-1);
  if (last !== undefined && sentences.length > mostSentences) heads.push(headOf(last));
  return heads;
}

function numericFeatures(
  parts: PromptParts,
  text: WordedText,
  heads: readonly RequestHead[],
  cues: Float64Array,
): readonly number[] {
  const { ask } = parts;
  const { words, sentences } = text;
  const isRequest = ({ kind }: RequestHead): boolean => kind !== headNames.length - 1;
  const hard = cues.reduce((sum, count, index) => sum + (hardCues.has(index) ? count : 0), 0);
  const letters = words.reduce((sum, word) => sum + word.length, 0);
  const first = heads[0];
  const values: Record<(typeof numericNames)[number], number> = {
    words: Math.log1p(words.length),
    "pasted characters": Math.log1p(parts.pastedChars),
    "total characters": Math.log1p(parts.totalChars),
    sentences: Math.log1p(sentences.length),
    questions: Math.log1p(countOf(ask, /\?/g)),
    requests: Math.log1p(heads.filter(isRequest).length),
    commas: Math.log1p(countOf(ask, /,/g)),
    numbers: Math.log1p(countOf(ask, /\d+/g)),
    maths: Math.log1p(countOf(ask, /[=^+*<>\u2200-\u22ff]|\\[a-z]+|\b[a-z]\^|\bmod\b/g)),
    "inline code": Math.log1p(countOf(ask, /`[^`\n]+`|\w+\(\)|\w_\w/g)),
    "list items": Math.log1p(countOf(ask, /^\s*([-*\u2022]|\d+[.)])\s/gm)),
    "long words": words.filter((word) => word.length >= 9).length / Math.max(1, words.length),
    "mean word length": letters / Math.max(1, words.length),
    abbreviations: Math.log1p(countOf(ask, /\b[A-Z]{2,6}s?\b/g)),
    fences: Math.log1p(parts.fences),
    "code lines": Math.log1p(parts.codeLines),
    "log lines": Math.log1p(parts.logLines),
    "table or data lines": Math.log1p(parts.dataLines),
    turns: Math.log(parts.turns),
    "system message": parts.hasSystem ? 1 : 0,
    "ends in a question mark": /\?\W*$/.test(ask) ? 1 : 0,
    "first person plural": words.some((word) => word === "we" || word === "our" || word === "us") ? 1 : 0,
    hyphens: Math.log1p(countOf(ask, /\w-\w/g)),
    "hard cues per word": hard / Math.max(4, words.length),
    "pasted and simple verb":
      parts.pastedChars > 80 && first !== undefined && lookupHeads.has(first.kind) ? 1 : 0,
    conjunctions: Math.log1p(words.filter((word) => word === "and" || word === "or").length),
  };
  return numericNames.map((name) => values[name]);
}

/** [readableNames] values of a prompt's readable features. */
export function readableFeatures(
  parts: PromptParts,
  text: WordedText,
  heads: readonly RequestHead[],
): Float64Array {
  const cues = cueCounts(text.words);
  const features = new Float64Array(readableNames.length);
  let at = 0;
  const push = (value: number): void => {
    features[at] = value;
    at += 1;
  };
  for (const value of numericFeatures(parts, text, heads, cues)) push(value);
  let previous = 0;
  for (const most of wordRanges) {
    push(text.words.length > previous && text.words.length <= most ? 1 : 0);
    previous = most;
  }
  for (const count of cues) push(Math.log1p(count));
  const kinds = heads.map(({ kind }) => kind);
  for (let kind = 0; kind < headNames.length; kind += 1) push(kinds[0] === kind ? 1 : 0);
  for (let kind = 0; kind < headNames.length; kind += 1) push(kinds.at(-1) === kind ? 1 : 0);
  for (let kind = 0; kind < headNames.length; kind += 1) push(kinds.includes(kind) ? 1 : 0);
  return features;
}
