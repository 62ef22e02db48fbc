import { type Asking, readAsking } from "./asking.js";
import type { RoutedPrompt } from "./complexity.js";
import { ngramKinds, ngramVector, type SparseVector } from "./ngram-features.js";
import { promptParts } from "./prompt-parts.js";
import { readableFeatures } from "./readable-features.js";
import { withoutPastedProse } from "./simple-requests.js";

/** All that a linear classifier reads of a prompt. */
export interface PromptFeatures {
  /** [readableNames] */
  readonly readable: Float64Array;
  /** [ngramKinds] */
  readonly ngrams: readonly SparseVector[];
}

/** What is asked, and the readable features of the prompt. */
export interface ReadPrompt {
  readonly asking: Asking;
  readonly readable: Float64Array;
}

/** Reads a prompt as far as readable features go. */
export function readPrompt(prompt: RoutedPrompt): ReadPrompt {
  const parts = promptParts(prompt);
  const whole = readAsking(parts.ask);
  const asking = withoutPastedProse(parts.ask, whole);
  if (asking === whole) return { asking, readable: readableFeatures(parts, asking) };
  const ask = asking.sentences.map(({ text }) => text).join("\n");
  const pastedChars = parts.pastedChars + parts.ask.length - ask.length;
  return { asking, readable: readableFeatures({ ...parts, ask, pastedChars }, asking) };
}

/** The features of a prompt. */
export function promptFeatures(prompt: RoutedPrompt): PromptFeatures {
  const { asking, readable } = readPrompt(prompt);
  return { readable, ngrams: ngramKinds.map((kind) => ngramVector(kind, asking)) };
}
