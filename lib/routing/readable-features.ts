import { type Asking, isRequest, type Sentence } from "./asking.js";
import { cueNames } from "./cue-words.js";
import type { PromptParts } from "./prompt-parts.js";
import { headNames } from "./request-heads.js";
import { areSimpleRequests, hardCues } from "./simple-requests.js";

/** Upper ends of the ranges of word counts, each a feature of its own: length does not act in a straight line. */
const wordRanges = [3, 6, 10, 16, 25, 40, 70, 130] as const;

const numericNames = [
  "words",
  "words that ask",
  "words of context",
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
  "abstract words",
  "material without a simple request",
  "only simple requests",
  "simple requests about material",
  "conjunctions",
] as const;

/** Names of the readable features, in the order of the router file. */
export const readableNames: readonly string[] = [
  ...numericNames,
  ...wordRanges.map((most) => `at most ${most} words that ask`),
  ...cueNames.map((name) => `asks with ${name}`),
  ...cueNames.map((name) => `context with ${name}`),
  ...headNames.map((name) => `begins with ${name}`),
  ...headNames.map((name) => `ends with ${name}`),
  ...headNames.map((name) => `asks ${name}`),
];

/** [cueNames] how often words and phrases of each class occur. */
function cueCounts(sentences: readonly Sentence[]): Float64Array {
  const counts = new Float64Array(cueNames.length);
  for (const { cues } of sentences) for (const cue of cues) counts[cue] = (counts[cue] ?? 0) + 1;
  return counts;
}

function countOf(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

/** Endings of words for what cannot be touched. */
const abstractWord = /\w{3}(ism|ity|tion|sion|ance|ence|ology|graphy|onomy|ship|ical|ative|ility)s?$/;

const noHead = headNames.length - 1;

function numericFeatures(parts: PromptParts, asking: Asking, cues: Float64Array): readonly number[] {
  const { ask } = parts;
  const { words, sentences, focus, focusWords } = asking;
  const requests = sentences.filter(isRequest);
  const hard = cues.reduce((sum, count, index) => sum + (hardCues.has(index) ? count : 0), 0);
  const letters = words.reduce((sum, word) => sum + word.length, 0);
  const areSimple = areSimpleRequests(requests);
  const context = words.length - focusWords.length;
  const values: Record<(typeof numericNames)[number], number> = {
    words: Math.log1p(words.length),
    "words that ask": Math.log1p(focusWords.length),
    "words of context": Math.log1p(context),
    "pasted characters": Math.log1p(parts.pastedChars),
    "total characters": Math.log1p(parts.totalChars),
    sentences: Math.log1p(sentences.length),
    questions: Math.log1p(focus.filter(({ isQuestion }) => isQuestion).length),
    requests: Math.log1p(requests.length),
    commas: Math.log1p(countOf(ask, /,/g)),
    numbers: Math.log1p(countOf(ask, /\d+/g)),
    maths: Math.log1p(countOf(ask, /[=^+*<>\u2200-\u22ff]|\\[a-z]+|\b[a-z]\^|\bmod\b/g)),
    "inline code": Math.log1p(countOf(ask, /`[^`\n]+`|\w\(\)|\w_\w/g)),
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
    "abstract words": Math.log1p(words.filter((word) => abstractWord.test(word)).length),
    "material without a simple request": !areSimple && parts.pastedChars > 100 ? 1 : 0,
    "only simple requests": areSimple ? 1 : 0,
    "simple requests about material": areSimple && parts.pastedChars + context * 5 > 100 ? 1 : 0,
    conjunctions: Math.log1p(words.filter((word) => word === "and" || word === "or").length),
  };
  return numericNames.map((name) => values[name]);
}

/** [readableNames] values of a prompt's readable features. */
export function readableFeatures(parts: PromptParts, asking: Asking): Float64Array {
  const { sentences, focus, focusWords } = asking;
  const cues = cueCounts(sentences);
  const kinds = focus.map(({ head }) => head.kind);
  const values: number[] = [...numericFeatures(parts, asking, cues)];
  for (const [order, most] of wordRanges.entries()) {
    const isWithin = focusWords.length > (wordRanges[order - 1] ?? 0) && focusWords.length <= most;
    values.push(isWithin ? 1 : 0);
  }
  const focusCues = cueCounts(focus);
  for (const count of focusCues) values.push(Math.log1p(count));
  for (const [index, count] of cues.entries()) values.push(Math.log1p(count - (focusCues[index] ?? 0)));
  for (let kind = 0; kind < headNames.length; kind += 1) values.push((kinds[0] ?? noHead) === kind ? 1 : 0);
  for (let kind = 0; kind < headNames.length; kind += 1) values.push(kinds.at(-1) === kind ? 1 : 0);
  for (let kind = 0; kind < headNames.length; kind += 1) values.push(kinds.includes(kind) ? 1 : 0);
  return Float64Array.from(values);
}
