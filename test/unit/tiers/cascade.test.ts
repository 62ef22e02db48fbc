import { describe, expect, test } from "vitest";

import { AnswerJudge, isLoop, type Verdict } from "../../../lib/tiers/cascade.js";

const settings = { minLogprob: -1, holdTokens: 8 };
const undecided = { kind: "undecided" };
const accepted = { kind: "accepted" };
const rejected = (reason: string): object => ({ kind: "rejected", reason });

let nextToken = 0;

/** A chunk of words, a token each, which all have this log-probability. */
function chunk(text: string, logprob = -0.1, tokens?: readonly number[]) {
  const ids = tokens ?? text.split(" ").map(() => (nextToken += 1));
  return { text, tokens: ids, logprobs: ids.map((token) => ({ token, logprob, top: [] })) };
}

const words = (count: number): string =>
  Array.from({ length: count }, (_, index) => `word${index}`).join(" ");

/** The verdict on a whole answer. */
function verdictOn(
  text: string,
  options: { logprob?: number; hold?: number; hasSchema?: boolean } = {},
): Verdict {
  const { logprob = -0.1, hold = 64, hasSchema = false } = options;
  const judge = new AnswerJudge({ ...settings, holdTokens: hold }, hasSchema);
  const verdict = judge.read(chunk(text, logprob));
  return verdict.kind === "undecided" ? judge.end("stop") : verdict;
}

describe("AnswerJudge", () => {
  test("hands out what is trusted at the hold, and not before", () => {
    const judge = new AnswerJudge(settings, false);
    expect(judge.read(chunk(words(7)))).toEqual(undecided);
    expect(judge.read(chunk("end"))).toEqual(accepted);
    expect(judge.tokenCount).toBe(8);
    expect(judge.meanLogprob).toBeCloseTo(-0.1);
  });

  test("rejects what is too unsure on average, at the hold and at the end", () => {
    const judge = new AnswerJudge(settings, false);
    expect(judge.read(chunk(words(4), -0.2))).toEqual(undecided);
    expect(judge.read(chunk(words(4), -1.9))).toEqual(rejected("confidence"));
    expect(judge.meanLogprob).toBeCloseTo(-1.05);
    expect(verdictOn("Three short words", { logprob: -1.01 })).toEqual(rejected("confidence"));
    expect(verdictOn("Three short words", { logprob: -0.99 })).toEqual(accepted);
  });

  test("trusts what has no log-probabilities, as of endpoints that give none", () => {
    const judge = new AnswerJudge(settings, false);
    expect(judge.read({ text: words(9), tokens: [1, 2, 3, 4, 5, 6, 7, 8, 9] })).toEqual(accepted);
    expect(judge.meanLogprob).toBe(0);
  });

  test.each([
    "I'm sorry, but I can't help with that.",
    "I\u2019m sorry, but I can\u2019t help with that.",
    "Sorry, I do not know.",
    "I am not able to do so.",
    "I cannot answer this.",
    "I don\u2019t know who that is.",
    '  "I don\'t know."',
    "As an AI language model, I have no body.",
    "As a language model, I have no body.",
    "Unfortunately, I have no access to that.",
    "Unfortunately I have no access to that.",
  ])("takes this for a refusal: %s", (text) => {
    expect(verdictOn(text)).toEqual(rejected("refusal"));
  });

  test.each([
    "The fox said: I'm sorry, I cannot help you. And so it went.",
    "Once there was a king. Sorry, he said, I do not know.",
    "Unfortunately, it rained all day.",
    "As an aide to the king, he knew.",
    "I can tell you: it is Paris.",
    "Sorry is the word.",
  ])("takes this for an answer: %s", (text) => {
    expect(verdictOn(text)).toEqual(accepted);
  });

  test("finds a refusal at the hold, though the sentence goes on", () => {
    expect(verdictOn(`I cannot say ${words(20)}`, { hold: 8 })).toEqual(rejected("refusal"));
  });

  test("rejects a document that was cut off, and waits for its end", () => {
    const judge = new AnswerJudge(settings, true);
    expect(judge.read(chunk(`{"name": "${words(50)}`))).toEqual(undecided);
    expect(judge.end("length")).toEqual(rejected("schema"));
    expect(verdictOn('{ "sorry": "I cannot" }', { hasSchema: true })).toEqual(accepted);
    expect(verdictOn('{ "name": 1 }', { hasSchema: true, logprob: -3 })).toEqual(rejected("confidence"));
  });

  test("takes a text that was cut off as it is", () => {
    const judge = new AnswerJudge({ ...settings, holdTokens: 64 }, false);
    judge.read(chunk(words(5)));
    expect(judge.end("length")).toEqual(accepted);
  });

  test("rejects an answer of nothing, or of white space", () => {
    expect(new AnswerJudge(settings, false).end("stop")).toEqual(rejected("empty"));
    const judge = new AnswerJudge(settings, false);
    expect(judge.read(chunk(" \n".repeat(5), -0.1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]))).toEqual(undecided);
    expect(judge.end("stop")).toEqual(rejected("empty"));
  });

  test.each([24, 32, 48, 100])("finds a loop that begins at once under a hold of %i tokens", (holdTokens) => {
    const judge = new AnswerJudge({ ...settings, holdTokens }, false);
    let verdict: Verdict = { kind: "undecided" };
    let read = 0;
    while (verdict.kind === "undecided" && read < 200) {
      verdict = judge.read(chunk(" la", -0.01, [read % 5]));
      read += 1;
    }
    expect(verdict).toEqual(rejected("loop"));
    expect(read).toBeLessThanOrEqual(Math.max(holdTokens, 48));
  });

  test("finds a loop in a document", () => {
    const judge = new AnswerJudge(settings, true);
    expect(judge.read(chunk("[1, 1, ", -0.01, [9, 8, 7, 6, 5]))).toEqual(undecided);
    const piece = Array.from({ length: 60 }, (_, index) => index % 2);
    expect(judge.read(chunk("1, ", -0.01, piece))).toEqual(rejected("loop"));
  });
});

describe("isLoop", () => {
  const repeated = (length: number, period: number): number[] =>
    Array.from({ length }, (_, index) => index % period);

  test.each([1, 2, 7, 15, 16])("sees a piece of %i tokens that fills 48", (period) => {
    expect(isLoop([500, 501, ...repeated(48, period)])).toBe(true);
    expect(isLoop([...repeated(47, period)])).toBe(false);
    expect(isLoop([...repeated(48, period), 500])).toBe(false);
  });

  test("leaves longer pieces alone, and what is said less than three times", () => {
    expect(isLoop(repeated(48, 17))).toBe(false);
    expect(isLoop(repeated(30, 10), 30)).toBe(true);
    expect(isLoop(repeated(30, 11), 30)).toBe(false);
  });

  test("does not judge by fewer than 24 tokens", () => {
    expect(isLoop(repeated(23, 1), 23)).toBe(false);
    expect(isLoop(repeated(24, 1), 24)).toBe(true);
  });
});
