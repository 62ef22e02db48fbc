import { setTimeout as sleep } from "node:timers/promises";

import { describe, expect, test } from "vitest";

import type { Complexity, ComplexityClassifier } from "../../../lib/routing/complexity.js";
import { loadEncoder } from "../../../lib/tiers/encoder-classifier.js";

const fallen: Complexity = { score: 0.25, confidence: 0.4, probabilities: [0.4, 0.3, 0.3] };
const fallback: ComplexityClassifier = { kind: "linear", classify: () => fallen };

interface Label {
  readonly label: string;
  readonly score: number;
}

/** A library whose model gives these labels, after a while if asked to. */
async function encoderOf(
  classify: (text: string) => Promise<readonly Label[]>,
  budgetMs = 1000,
): Promise<ComplexityClassifier> {
  const load = (): Promise<unknown> => Promise.resolve({ pipeline: () => Promise.resolve(classify) });
  return loadEncoder("model", { budgetMs, fallback, load });
}

const labelled = (...labels: readonly (readonly [string, number])[]): Promise<readonly Label[]> =>
  Promise.resolve(labels.map(([label, score]) => ({ label, score })));

describe("loadEncoder", () => {
  test.each([
    ["numbers", ["0", "1", "2"]],
    ["LABEL_ and numbers", ["LABEL_0", "LABEL_1", "LABEL_2"]],
    ["words", ["simple", "Demanding", "HARD"]],
  ])("reads labels that are %s, in any order", async (_name, [simple = "", demanding = "", hard = ""]) => {
    const encoder = await encoderOf(() => labelled([hard, 0.5], [simple, 0.2], [demanding, 0.3]));
    const { score, confidence, probabilities } = await encoder.classify("What is a mutex?");
    expect(score).toBeCloseTo(0.3 / 2 + 0.5);
    expect(confidence).toBeCloseTo(0.5);
    for (const [index, value] of [0.2, 0.3, 0.5].entries()) expect(probabilities[index]).toBeCloseTo(value);
  });

  test("scales what does not add up to 1", async () => {
    const encoder = await encoderOf(() => labelled(["LABEL_2", 0.6], ["LABEL_0", 0.2]));
    const { score, confidence, probabilities } = await encoder.classify("Prove it.");
    expect([score, confidence]).toEqual([expect.closeTo(0.75), expect.closeTo(0.75)]);
    expect(probabilities.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1);
  });

  test("refuses labels of another model with AIR_ERR_CONFIG", async () => {
    const encoder = await encoderOf(() => labelled(["POSITIVE", 0.9], ["NEGATIVE", 0.1]));
    await expect(encoder.classify("Hello")).rejects.toMatchObject({
      code: "AIR_ERR_CONFIG",
      message: expect.stringContaining("POSITIVE, NEGATIVE") as string,
    });
  });

  test("reads the last message, and no more of it than an encoder can", async () => {
    const seen: string[] = [];
    const encoder = await encoderOf((text) => {
      seen.push(text);
      return labelled(["0", 1]);
    });
    await encoder.classify([
      { role: "user", content: "first" },
      { role: "assistant", content: "second" },
      { role: "user", content: "third" },
    ]);
    await encoder.classify("x".repeat(100_000));
    expect(seen).toEqual(["third", "x".repeat(4000)]);
  });

  test("falls back when it takes longer than the budget, and at no other time", async () => {
    const slow = await encoderOf(async () => {
      await sleep(500);
      return labelled(["2", 1]);
    }, 10);
    const startedMs = performance.now();
    expect(await slow.classify("Hello")).toBe(fallen);
    expect(performance.now() - startedMs).toBeLessThan(400);
    const quick = await encoderOf(() => labelled(["2", 1]), 10);
    expect(await quick.classify("Hello")).toMatchObject({ score: 1 });
  });

  test("falls back when the model fails, late or soon, and leaves no rejection behind", async () => {
    const broken = await encoderOf(() => Promise.reject(new Error("out of memory")));
    expect(await broken.classify("Hello")).toBe(fallen);
    const late = await encoderOf(async () => {
      await sleep(30);
      throw new Error("out of memory");
    }, 5);
    expect(await late.classify("Hello")).toBe(fallen);
    await sleep(60);
  });

  test("says what to install when the package is not there", async () => {
    await expect(loadEncoder("model", { budgetMs: 50, fallback })).rejects.toMatchObject({
      code: "AIR_ERR_CONFIG",
      message: expect.stringContaining("npm install @huggingface/transformers") as string,
    });
  });

  test("names a model that cannot be loaded, and why", async () => {
    const load = (): Promise<unknown> =>
      Promise.resolve({ pipeline: () => Promise.reject(new Error("no such file")) });
    await expect(loadEncoder("org/none", { budgetMs: 50, fallback, load })).rejects.toMatchObject({
      code: "AIR_ERR_CONFIG",
      message: "expected an ONNX text classifier for router.model but received org/none: no such file",
    });
  });
});
