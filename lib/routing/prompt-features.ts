import type { RoutedPrompt } from "./complexity.js";
import { ngramKinds, ngramVector, type SparseVector } from "./ngram-features.js";
import { promptParts } from "./prompt-parts.js";
import { headsOf, readableFeatures, type WordedText, wordsOf } from "./readable-features.js";
import type { RequestHead } from "./request-heads.js";

/** All that a linear classifier reads of a prompt. */
export interface PromptFeatures {
  /** [readableNames] */
  readonly readable: Float64Array;
  /** [ngramKinds] */
  readonly ngrams: readonly SparseVector[];
}

/** A prompt's asking as words, and what its sentences ask. */
export interface ReadPrompt {
  readonly text: WordedText;
  readonly heads: readonly RequestHead[];
  readonly readable: Float64Array;
}

/** Reads a prompt as far as readable features go. */
export function readPrompt(prompt: RoutedPrompt): ReadPrompt {
  const parts = promptParts(prompt);
  const text = wordsOf(parts.ask);
  const heads = headsOf(text);
  return { text, heads, readable: readableFeatures(parts, text, heads) };
}

/** The features of a prompt. */
export function promptFeatures(prompt: RoutedPrompt): PromptFeatures {
  const { text, heads, readable } = readPrompt(prompt);
  return { readable, ngrams: ngramKinds.map((kind) => ngramVector(kind, text, heads)) };
}
