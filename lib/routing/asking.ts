import { cuesOf } from "./cue-words.js";
import { headNames, headOf, noHead, type RequestHead } from "./request-heads.js";

/** A sentence as words in lower case. */
export interface Sentence {
  /** As it was written. */
  readonly text: string;
  readonly words: readonly string[];
  /** Whether a question mark ends it. */
  readonly isQuestion: boolean;
  readonly head: RequestHead;
  /** Cue classes of its words, each as often as it occurs. */
  readonly cues: readonly number[];
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
const mostSentences = 80;
const mostHeads = 40;

/** Whether a sentence asks for something. */
export function isRequest({ isQuestion, head }: Sentence): boolean {
  return isQuestion || head.kind !== headNames.length - 1;
}

/** Pieces of a text between . ? ! ; and line breaks, with the marks that end them. */
function* pieces(text: string): Generator<string> {
  for (const line of text.split("\n")) {
    let start = 0;
    for (const { index, 0: marks } of line.matchAll(/[.?!;]+(?=\s|$)/g)) {
      yield line.slice(start, index + marks.length);
      start = index + marks.length;
    }
    if (start < line.length) yield line.slice(start);
  }
}

/** Splits a text into sentences, and finds those that ask. */
export function readAsking(text: string): Asking {
  const sentences: Sentence[] = [];
  for (const piece of pieces(text.replaceAll("\u2019", "'"))) {
    const words = (piece.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? []).map((word) =>
      word.length > longestWord ? word.slice(0, longestWord) : word,
    );
    if (words.length === 0) continue;
    if (sentences.length === mostSentences) break;
    const isQuestion = /\?[\s.!;?]*$/.test(piece.slice(-8));
    const head = sentences.length < mostHeads ? headOf(words, isQuestion) : noHead;
    sentences.push({ text: piece.trim(), words, isQuestion, head, cues: cuesOf(words) });
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
