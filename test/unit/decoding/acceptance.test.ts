import { describe, expect, test } from "vitest";

import {
  acceptOrRecover,
  type AcceptanceRule,
  createChooser,
  verify,
} from "../../../lib/decoding/acceptance.js";
import type { TokenHistory } from "../../../lib/decoding/penalties.js";
import type { Draft } from "../../../lib/decoding/proposer.js";
import { Sampler, type SamplingOptions } from "../../../lib/decoding/sampler.js";
import { FakeRowOps } from "../../support/fake-row-ops.js";
import {
  draftLogits,
  historyOf,
  plainSampling,
  targetLogits,
  toyVocabSize,
} from "../../support/toy-language.js";

const maths = new FakeRowOps();
const rules: readonly AcceptanceRule[] = ["coupled", "rejection"];

function rowAfter(token: number | undefined): Float32Array {
  return targetLogits[token ?? -1]?.slice() ?? expect.fail("no row");
}

function chooserOf(rule: AcceptanceRule, sampling: Partial<SamplingOptions>) {
  const options = { ...plainSampling, ...sampling };
  const sampler = new Sampler(maths, toyVocabSize, options);
  return createChooser(rule, { sampler, maths, seed: options.seed });
}

/** Continues a text by `count` tokens, as many draft tokens at a time as `draftOf` gives. */
function decode(
  rule: AcceptanceRule,
  sampling: Partial<SamplingOptions>,
  draftOf: (text: readonly number[]) => readonly number[],
  count: number,
): { readonly text: readonly number[]; readonly accepted: number } {
  const choose = chooserOf(rule, sampling);
  const text = [5, 6, 7];
  let accepted = 0;
  while (text.length < count + 3) {
    const tokens = draftOf(text);
    const rows = [text.at(-1), ...tokens].map(rowAfter);
    const verdict = verify(choose, { rows, draft: { tokens }, history: historyOf(text) }, () => true);
    accepted += verdict.accepted;
    text.push(...verdict.tokens);
  }
  return { text: text.slice(0, count + 3), accepted };
}

/** The likeliest tokens after a text by a table of logits. */
function likeliest(
  table: readonly Float32Array[],
  text: readonly number[],
  count: number,
): readonly number[] {
  const tokens: number[] = [];
  while (tokens.length < count) {
    const row = table[tokens.at(-1) ?? text.at(-1) ?? -1] ?? expect.fail("no row");
    tokens.push(row.indexOf(Math.max(...row)));
  }
  return tokens;
}

describe("coupled acceptance", () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])("gives a seed's text whatever the %i draft tokens are", (count) => {
    const sampling = { seed: 42, temperature: 0.8, topP: 0.9, repetitionPenalty: 1.1, penaltyLastN: 5 };
    const plain = decode("coupled", sampling, () => [], 60);
    expect(plain.accepted).toBe(0);
    const drafters: ((text: readonly number[]) => readonly number[])[] = [
      (text) => likeliest(draftLogits, text, count),
      (text) => plain.text.slice(text.length, text.length + count), // what it is going to be
      (text) => plain.text.slice(text.length, text.length + count).map((token, i) => (i === 1 ? 0 : token)),
      (text) => Array.from({ length: count }, (_, index) => (text.length * 7 + index) % toyVocabSize),
    ];
    const outcomes = drafters.map((draft) => decode("coupled", sampling, draft, 60));
    for (const { text } of outcomes) expect(text).toEqual(plain.text);
    expect(outcomes[1]?.accepted).toBeGreaterThan(60 * (count / (count + 1)) - 8);
    expect(outcomes[3]?.accepted).toBeLessThan(10);
  });
});

describe.each(rules)("%s at temperature 0", (rule) => {
  test("accepts while the draft is the likeliest token", () => {
    const greedy = likeliest(targetLogits, [5], 4);
    const [a = -1, b = -1, c = -1, d = -1] = greedy;
    const other = (c + 1) % toyVocabSize;
    const choose = chooserOf(rule, { temperature: 0 });
    const tokens = [a, b, other];
    const rows = [5, ...tokens].map(rowAfter);
    const verdict = verify(choose, { rows, draft: { tokens }, history: historyOf([5]) }, () => true);
    expect(verdict).toEqual({ tokens: [a, b, c], accepted: 2 });
    const right = verify(
      choose,
      { rows: [5, a, b, c].map(rowAfter), draft: { tokens: [a, b, c] }, history: historyOf([5]) },
      () => true,
    );
    expect(right).toEqual({ tokens: [a, b, c, d], accepted: 3 });
  });
});

describe("verify", () => {
  const rows = [0, 1, 2, 3].map(rowAfter);
  const draft: Draft = { tokens: [10, 11, 12] };
  /** Takes the draft's tokens as far as they go, and then 99. */
  const agree = (_row: Float32Array, _history: TokenHistory, of: Draft | undefined, index: number) => ({
    token: of?.tokens[index] ?? 99,
  });

  test("adds a bonus token to a draft that was accepted whole", () => {
    const taken: number[] = [];
    const verdict = verify(
      agree,
      { rows, draft, history: historyOf([1]) },
      ({ token }) => taken.push(token) > 0,
    );
    expect(verdict).toEqual({ tokens: [10, 11, 12, 99], accepted: 3 });
    expect(taken).toEqual([10, 11, 12, 99]);
  });

  test("counts an accepted token that ended the text, which does not go on with it", () => {
    const verdict = verify(agree, { rows, draft, history: historyOf([1]) }, ({ token }) => token !== 11);
    expect(verdict).toEqual({ tokens: [10], accepted: 2 });
  });

  test("decides the draft token past the last row, but does not count it", () => {
    const verdict = verify(agree, { rows: rows.slice(0, 3), draft, history: historyOf([1]) }, () => true);
    expect(verdict).toEqual({ tokens: [10, 11, 12], accepted: 2 });
  });

  test("says of each token whether it was a draft token with a row of its own", () => {
    const taken: [number, boolean][] = [];
    const take = ({ token }: { readonly token: number }, isDrafted: boolean) =>
      taken.push([token, isDrafted]) > 0;
    verify(agree, { rows: rows.slice(0, 3), draft, history: historyOf([1]) }, take);
    expect(taken).toEqual([
      [10, true],
      [11, true],
      [12, false],
    ]);
  });

  test("chooses one token without a draft", () => {
    const verdict = verify(
      agree,
      { rows: rows.slice(0, 1), draft: undefined, history: historyOf([1]) },
      () => true,
    );
    expect(verdict).toEqual({ tokens: [99], accepted: 0 });
  });

  test("shows each row the text with the tokens accepted before it", () => {
    const seen: number[][] = [];
    verify(
      (row, history, of, index) => {
        seen.push(Array.from({ length: history.length }, (_, at) => history.token(at)));
        return agree(row, history, of, index);
      },
      { rows, draft, history: historyOf([7, 8]) },
      () => true,
    );
    expect(seen).toEqual([
      [7, 8],
      [7, 8, 10],
      [7, 8, 10, 11],
      [7, 8, 10, 11, 12],
    ]);
  });
});

describe("acceptOrRecover", () => {
  const target = [0.5, 0.25, 0.25, 0];
  const positions = Array.from({ length: 200 }, (_, position) => position);
  const decide = (token: number, draft: readonly number[] | undefined) =>
    positions.map((position) =>
      acceptOrRecover(maths, {
        target: Float32Array.from(target),
        draft: draft && Float32Array.from(draft),
        token,
        seed: 3,
        position,
      }),
    );

  test("always accepts a token that the target likes at least as much as the draft", () => {
    const guesses = decide(0, [0.5, 0.5, 0, 0]);
    expect(new Set(guesses.map(({ token }) => token))).toEqual(new Set([0]));
    expect(guesses[0]?.probability).toBe(0.5);
  });

  test("never accepts a token that the target does not have", () => {
    expect(decide(3, undefined).every(({ token, probability }) => token !== 3 && probability > 0)).toBe(true);
  });

  test("recovers only tokens that the target likes better than the draft", () => {
    const tokens = decide(1, [0.25, 0.75, 0, 0]).map(({ token }) => token);
    expect(new Set(tokens)).toEqual(new Set([0, 1, 2]));
    // p / q = 1 / 3 of 200, within four standard deviations
    expect(Math.abs(tokens.filter((token) => token === 1).length - 200 / 3)).toBeLessThan(27);
    expect(decide(1, [0.5, 0.5, 0, 0]).map(({ token }) => token)).not.toContain(0);
  });
});
