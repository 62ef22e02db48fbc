import { describe, expect, test } from "vitest";

import { perplexity } from "../../../lib/compression/evaluate.js";
import { bosId, createFakeModel, encodeCharacters, fakeTokenizer } from "../../support/fake-model.js";
import type { Model } from "../../../lib/runtime/model.js";

const text = encodeCharacters(
  "it was the best of times, it was the worst of times, it was the age of wisdom",
);

/** Negative log-likelihood of tokens[end - 1] after the others, one forward per token. */
async function nllOfLast(model: Model, tokens: readonly number[]): Promise<number> {
  let nll = NaN;
  await model.evaluate(Int32Array.from(tokens.slice(0, -1)), {
    logitsFrom: tokens.length - 2,
    onRow: (row) => {
      const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
      nll = Math.log(total) - (row[tokens.at(-1) ?? -1] ?? NaN);
    },
  });
  return nll;
}

/** Mean over `scored`: [window start, token index] pairs; `before` precedes each window. */
async function expectedMean(
  model: Model,
  scored: readonly (readonly [number, number])[],
  before: (start: number) => number,
): Promise<number> {
  let sum = 0;
  for (const [start, index] of scored)
    sum += await nllOfLast(model, [before(start), ...text.slice(start, index + 1)]);
  return sum / scored.length;
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, index) => start + index);
}

describe("perplexity", () => {
  test("scores every token of windows of contextTokens - 1, each after BOS, and drops the partial window", async () => {
    const { model } = createFakeModel();
    const result = await perplexity(model, text, { contextTokens: 31 });
    const windows = Math.floor(text.length / 30);
    expect(text.length % 30).not.toBe(0);
    expect(result.tokens).toBe(windows * 30);
    const scored = range(0, windows).flatMap((window) =>
      range(window * 30, window * 30 + 30).map((index) => [window * 30, index] as const),
    );
    const mean = await expectedMean(model, scored, () => bosId);
    expect(result.meanNll).toBeCloseTo(mean, 5);
    expect(result.perplexity).toBe(Math.exp(result.meanNll));
  });

  test("scores only what is new with a stride below the context", async () => {
    const { model } = createFakeModel();
    const result = await perplexity(model, text, { contextTokens: 31, stride: 10 });
    const windows = Math.floor((text.length - 30) / 10) + 1;
    const scored = range(0, windows).flatMap((window) =>
      range(window === 0 ? 0 : window * 10 + 20, window * 10 + 30).map(
        (index) => [window * 10, index] as const,
      ),
    );
    expect(result.tokens).toBe(30 + (windows - 1) * 10);
    expect(result.meanNll).toBeCloseTo(await expectedMean(model, scored, () => bosId), 5);
  });

  test("puts the token before the window first where the model adds no BOS", async () => {
    const { model } = createFakeModel({ tokenizer: { ...fakeTokenizer, addBos: false } });
    const result = await perplexity(model, text, { contextTokens: 31 });
    const windows = Math.floor((text.length - 1) / 30);
    const scored = range(0, windows).flatMap((window) =>
      range(window * 30 + 1, window * 30 + 31).map((index) => [window * 30 + 1, index] as const),
    );
    const mean = await expectedMean(model, scored, (start) => text[start - 1] ?? -1);
    expect(result.meanNll).toBeCloseTo(mean, 5);
  });

  test("reports progress and stops on abort", async () => {
    const { model } = createFakeModel();
    const seen: number[] = [];
    const controller = new AbortController();
    const work = perplexity(model, text, {
      contextTokens: 11,
      signal: controller.signal,
      onProgress: (fraction) => {
        seen.push(fraction);
        if (seen.length === 2) controller.abort();
      },
    });
    await expect(work).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    expect(seen).toEqual([1 / 7, 2 / 7]);
  });

  test.each([
    [{ contextTokens: 1 }, "expected an integer from 2 to 256 for contextTokens but received 1"],
    [{ contextTokens: 300 }, "expected an integer from 2 to 256 for contextTokens but received 300"],
    [{ contextTokens: 8, stride: 0 }, "expected an integer of at least 1 for stride but received 0"],
    [{ contextTokens: 200 }, "expected at least 199 tokens for a text in windows of 200 but received 77"],
  ])("refuses %j", async (options, message) => {
    const { model } = createFakeModel();
    await expect(perplexity(model, text, options)).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
      message,
    });
  });

  test("fails on logits that are not finite instead of returning NaN", async () => {
    const { model, addon } = createFakeModel();
    addon.controls.poisonedTokens.add(text[12] ?? -1);
    await expect(perplexity(model, text, { contextTokens: 31 })).rejects.toMatchObject({
      code: "AIR_ERR_INTERNAL",
    });
  });
});
