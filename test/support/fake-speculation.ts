import type { Engine } from "../../lib/engine/engine.js";
import type { Sequence } from "../../lib/engine/sequence.js";
import { continueAlone } from "./fake-engine.js";

const vocabSize = 50;

/** Guesses what follows a text. */
export type Guesser = (text: readonly number[]) => readonly number[] | Promise<readonly number[]>;

/** Which guesses of a draft are right, by their place. */
export type Quality = (place: number) => boolean;

/** Guesses `count` tokens at a time of a prompt's true continuation, the wrong ones off by one. */
export async function createGuesser(
  prompt: readonly number[],
  length: number,
  count: number,
  isRight: Quality,
): Promise<Guesser> {
  const whole = [...prompt, ...(await continueAlone(prompt, length))];
  return (text) =>
    whole
      .slice(text.length, text.length + count)
      .map((token, place) => (isRight(place) ? token : (token + 1) % vocabSize));
}

/** Continues a prompt greedily as continueGreedily() does, with guesses; `onToken` sees every token as it comes. */
export async function continueGuessing(
  engine: Engine,
  sequence: Sequence,
  {
    prompt,
    count,
    guess,
  }: { readonly prompt: readonly number[]; readonly count: number; readonly guess: Guesser },
  onToken?: (generated: readonly number[]) => void,
): Promise<readonly number[]> {
  const text = [...prompt];
  let draft: readonly number[] = [];
  const keep = (guesses: readonly number[]): readonly number[] => (draft = guesses);
  await engine.run(sequence, {
    tokens: prompt,
    logitsFrom: prompt.length - 1,
    propose: () => {
      const guesses = guess(text);
      return guesses instanceof Promise ? guesses.then(keep) : keep(guesses);
    },
    onLogits: (logits) => {
      const accepted: number[] = [];
      for (let start = 0; start < logits.length; start += vocabSize) {
        const row = logits.subarray(start, start + vocabSize);
        const token = row.indexOf(row.reduce((a, b) => Math.max(a, b)));
        text.push(token);
        onToken?.(text.slice(prompt.length));
        if (text.length === prompt.length + count) break;
        accepted.push(token);
        if (token !== draft[accepted.length - 1]) break;
      }
      draft = [];
      return accepted;
    },
  });
  return text.slice(prompt.length);
}

/** Drafts with one run of an engine. */
export async function draftGreedily(
  engine: Engine,
  sequence: Sequence,
  prompt: readonly number[],
  count: number,
  minConfidence = 0,
): Promise<{ readonly tokens: readonly number[]; readonly confidence: readonly number[] }> {
  let drafted: { tokens: readonly number[]; confidence: readonly number[] } = { tokens: [], confidence: [] };
  await engine.run(sequence, {
    tokens: prompt,
    count,
    minConfidence,
    onDraft: (tokens, confidence) => {
      drafted = { tokens, confidence };
    },
  });
  return drafted;
}
