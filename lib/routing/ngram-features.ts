import { bucketOf, hashStart, hashStep, hashWord } from "./hashing.js";
import type { Asking, Sentence } from "./asking.js";
import { cueNames } from "./cue-words.js";
import { headNames } from "./request-heads.js";

/** Buckets that n-grams are hashed into; part of the router file's format. */
export const ngramBuckets = 1 << 16;

/** Kinds of n-gram, each with its own hashes and its own length, so that none drowns the others. */
export const ngramKinds = ["words", "focus", "heads", "characters"] as const;

/** A kind of n-gram. */
export type NgramKind = (typeof ngramKinds)[number];

const namespaces: Readonly<Record<NgramKind, number>> = { words: 1, focus: 4, heads: 2, characters: 3 };

/** Lengths that the kinds are scaled to: what is longer is regularised less. */
const lengths: Readonly<Record<NgramKind, number>> = { words: 1, focus: 1, heads: 0.6, characters: 1 };

/** Characters of an n-gram. */
const shortest = 3;
const longest = 5;

/** Stands before the first word of a sentence. */
const sentenceStart = "^";

const space = 32;
const zero = 48;

/** Numbers act by being there, not by their value. */
function isDigit(code: number): boolean {
  return code >= zero && code <= zero + 9;
}

function normalWord(word: string): string {
  return /^\d+$/.test(word) ? "0" : word;
}

type Visit = (bucket: number) => void;

function visitWords(kind: "words" | "focus", sentences: readonly Sentence[], visit: Visit): void {
  const start = hashStart(namespaces[kind]);
  for (const { words } of sentences) {
    let previous = sentenceStart;
    for (const raw of words) {
      const word = normalWord(raw);
      visit(bucketOf(hashWord(start, word), ngramBuckets));
      visit(bucketOf(hashWord(hashStep(hashWord(start, previous), space), word), ngramBuckets));
      previous = word;
    }
  }
}

/** What a sentence asks: the word, the word with what it is about, and its kind with that and with cues. */
function headTexts({ head, cues }: Sentence): readonly string[] {
  const { kind, word, next } = head;
  const name = headNames[kind] ?? "";
  const texts = [word, `${word} ${next}`, `${name}: ${next}`];
  for (const cue of new Set(cues)) texts.push(`${name} + ${cueNames[cue] ?? ""}`);
  return texts;
}

function visitHeads(sentences: readonly Sentence[], visit: Visit): void {
  const start = hashStart(namespaces.heads);
  for (const sentence of sentences) {
    for (const text of headTexts(sentence)) visit(bucketOf(hashWord(start, text), ngramBuckets));
  }
}

/** The words with single spaces between and around them: n-grams of characters see where words begin and end. */
function spacedText({ words }: Asking): string {
  return ` ${words.join(" ")} `;
}

function visitCharacters(text: string, visit: Visit): void {
  const start = hashStart(namespaces.characters);
  for (let i = 0; i + shortest <= text.length; i += 1) {
    let hash = start;
    const end = Math.min(text.length, i + longest);
    for (let j = i; j < end; j += 1) {
      const code = text.charCodeAt(j);
      hash = hashStep(hash, isDigit(code) ? zero : code);
      if (j - i + 1 >= shortest) visit(bucketOf(hash, ngramBuckets));
    }
  }
}

function visitNgrams(kind: NgramKind, asking: Asking, visit: Visit): void {
  if (kind === "words") visitWords(kind, asking.sentences, visit);
  else if (kind === "focus") visitWords(kind, asking.focus, visit);
  else if (kind === "heads") visitHeads(asking.focus, visit);
  else visitCharacters(spacedText(asking), visit);
}

function wordTexts(sentences: readonly Sentence[]): readonly string[] {
  return sentences.flatMap(({ words }) =>
    words.flatMap((raw, order) => {
      const word = normalWord(raw);
      const previous = words[order - 1];
      return [word, `${previous === undefined ? sentenceStart : normalWord(previous)} ${word}`];
    }),
  );
}

function characterTexts(text: string): readonly string[] {
  const digitless = text.replaceAll(/[0-9]/g, "0");
  return Array.from({ length: text.length }, (_, start) =>
    [3, 4, 5].flatMap((length) =>
      start + length <= text.length ? [digitless.slice(start, start + length)] : [],
    ),
  ).flat();
}

/** The texts of the n-grams that ngramVector() counts, by bucket; slower, for explanations. */
export function ngramTexts(kind: NgramKind, asking: Asking): ReadonlyMap<number, string> {
  const texts =
    kind === "characters"
      ? characterTexts(spacedText(asking))
      : kind === "heads"
        ? asking.focus.flatMap(headTexts)
        : wordTexts(kind === "focus" ? asking.focus : asking.sentences);
  const start = hashStart(namespaces[kind]);
  // Of texts that share a bucket the first one stands for all.
  return new Map([...texts].reverse().map((text) => [bucketOf(hashWord(start, text), ngramBuckets), text]));
}

/** Occurrences by bucket, cleared after each use. One for all: counting is synchronous. */
const counts = new Uint16Array(ngramBuckets);

/** Buckets and their values. */
export interface SparseVector {
  readonly buckets: Int32Array;
  readonly values: Float32Array;
}

/**
 * Sublinear term frequencies of a kind of n-gram, 1 + log(count), scaled to the kind's length. Inverse document frequencies
 * are not in them: they are part of the weights.
 */
export function ngramVector(kind: NgramKind, asking: Asking): SparseVector {
  const touched: number[] = [];
  visitNgrams(kind, asking, (bucket) => {
    const count = counts[bucket] ?? 0;
    if (count === 0) touched.push(bucket);
    if (count < 0xffff) counts[bucket] = count + 1;
  });
  const buckets = Int32Array.from(touched);
  const values = new Float32Array(touched.length);
  let squares = 0;
  for (const [order, bucket] of buckets.entries()) {
    const value = 1 + Math.log(counts[bucket] ?? 1);
    counts[bucket] = 0;
    values[order] = value;
    squares += value * value;
  }
  const scale = squares > 0 ? lengths[kind] / Math.sqrt(squares) : 0;
  for (let i = 0; i < values.length; i += 1) values[i] = (values[i] ?? 0) * scale;
  return { buckets, values };
}
