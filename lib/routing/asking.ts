import { headNames, headOf, noHead, type RequestHead } from "./request-heads.js";

/** A sentence as words in lower case. */
export interface Sentence {
  /** As it was written. */
  readonly text: string;
  readonly words: readonly string[];
  /** Whether a question mark ends it. */
  readonly isQuestion: boolean;
  readonly head: RequestHead;
}

/** The text of a request as words and sentences. */
export interface Asking {
  readonly words: readonly string[];
  readonly sentences: readonly Sentence[];
  /** The sentences that ask for something, or all where none does; the others are context. */
  readonly focus: readonly Sentence[];
  readonly focusWords: readonly string[];
}

/** Longest word that is read; what is longer is no word. */
const longestWord = 32;

/** Most sentences that are read, and most whose heads are looked at: text of many tiny ones takes time. */
const mostSentences = 150;
const mostHeads = 60;

/** Whether a sentence asks for something. */
export function isRequest({ isQuestion, head }: Sentence): boolean {
  return isQuestion || head.kind !== headNames.length - 1;
}

/** Splits a text at . ? ! ; and line breaks, and finds the sentences that ask. */
export function readAsking(text: string): Asking {
  const plain = text.replaceAll("\u2019", "'");
  const sentences: Sentence[] = [];
  for (const [sentence, ending = ""] of plain.matchAll(/[^\n]+?(?:([.?!;]+)(?=\s|$)|(?=\n|$))/g)) {
    const words = (sentence.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? []).map((word) =>
      word.slice(0, longestWord),
    );
    const isQuestion = sentence.trimEnd().endsWith("?") || ending.includes("?");
    if (words.length === 0) continue;
    if (sentences.length === mostSentences) break;
    const head = sentences.length < mostHeads ? headOf(words, isQuestion) : noHead;
    sentences.push({ text: sentence.trim(), words, isQuestion, head });
  }
  const asking = sentences.filter(isRequest);
  const focus = asking.length > 0 ? asking : sentences;
  return {
    words: sentences.flatMap(({ words }) => words),
    sentences,
    focus,
    focusWords: focus.flatMap(({ words }) => words),
  };
}
