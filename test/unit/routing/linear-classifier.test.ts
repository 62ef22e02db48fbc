import { readFileSync, statSync } from "node:fs";

import { beforeAll, describe, expect, test } from "vitest";

import { tierOf } from "../../../lib/routing/calibration.js";
import type { RoutedPrompt } from "../../../lib/routing/complexity.js";
import { evaluateRouter } from "../../../lib/routing/evaluation.js";
import { parseLabelledPrompts } from "../../../lib/routing/example-file.js";
import { type LinearClassifier, loadRouter, shippedRouter } from "../../../lib/routing/linear-classifier.js";

let router: LinearClassifier;
beforeAll(async () => {
  router = await loadRouter();
});

const tierFor = (prompt: RoutedPrompt) => tierOf(router.classify(prompt).score, router.thresholds);

const pasted =
  "The council met on Tuesday to consider the closure of Harbour Street to through traffic. Shopkeepers spoke " +
  "largely against the plan. Residents of the flats above were mostly in favour, describing noise at night.";

describe("the shipped router", () => {
  test("is smaller than 1 MB", () => {
    expect(statSync(shippedRouter).size).toBeLessThan(1_000_000);
  });

  test.each([
    [0, "turn on the kitchen lights"],
    [0, "hi there"],
    [0, "What is the capital of France?"],
    [0, "convert 12 miles to km"],
    [0, 'Translate "good morning, neighbour" to Spanish.'],
    [0, `On which day did they meet?\n\n${pasted}`],
    [1, "Write a Python function that merges two sorted lists, with tests."],
    [1, "Draft an email to my landlord about the broken boiler, firm but friendly."],
    [1, `Summarise this in three bullet points and suggest a headline:\n\n${pasted}`],
    [2, "Prove there are infinitely many primes of the form 4k+3."],
    [2, "Design a sharded rate limiter that survives the loss of a region."],
    [2, "why does my lock-free queue lose items only on ARM?"],
  ])("sends to tier %i: %s", (tier, prompt) => {
    expect(tierFor(prompt)).toBe(tier);
  });

  test("keeps its promises on prompts that it was never trained on", () => {
    const text = readFileSync(new URL("../../../bench/router/unseen.jsonl", import.meta.url), "utf8");
    const judged = parseLabelledPrompts(text, "unseen.jsonl").map(({ prompt, tier }) => ({
      tier,
      complexity: router.classify(prompt),
    }));
    const result = evaluateRouter(judged, router.thresholds);
    expect(result.prompts).toBeGreaterThanOrEqual(150);
    expect(result.accuracy).toBeGreaterThanOrEqual(0.85);
    expect(result.underRouted).toBeLessThanOrEqual(0.08);
    for (const recall of result.recalls) expect(recall).toBeGreaterThanOrEqual(0.75);
  });

  test("does not change its mind when the request follows small talk", () => {
    const before = [
      { role: "user" as const, content: "hello!" },
      { role: "assistant" as const, content: "Hello. What can I do?" },
    ];
    expect(tierFor([...before, { role: "user", content: "What is the capital of France?" }])).toBe(0);
    expect(
      tierFor([...before, { role: "user", content: "Prove that the halting problem is undecidable." }]),
    ).toBe(2);
  });

  test("judges a follow-up by what it is about", () => {
    const follow = (content: string) =>
      router.classify([
        { role: "user", content },
        { role: "assistant", content: "There you are." },
        { role: "user", content: "go on" },
      ]).score;
    expect(follow("Design a consensus protocol for five regions and prove it safe.")).toBeGreaterThan(
      follow("What is the capital of France?") + 0.3,
    );
  });

  test("gives the same complexity each time, in any order", () => {
    const prompts = ["hi", "Prove Fermat's last theorem", "write a haiku", "hi"];
    const first = prompts.map((prompt) => router.classify(prompt));
    expect(
      [...prompts]
        .reverse()
        .map((prompt) => router.classify(prompt))
        .reverse(),
    ).toEqual(first);
    expect(first[0]).toEqual(first[3]);
  });

  test.each([
    "",
    " ",
    "\n\n",
    "?",
    "\u0000\ud800",
    "\u4f60\u597d\u5417",
    "a".repeat(1_000_000),
    "```",
    "- \n".repeat(9999),
  ])("takes odd text (case %#)", (prompt) => {
    const { score, confidence, probabilities } = router.classify(prompt);
    expect(score).toBeGreaterThanOrEqual(0);
    expect(score).toBeLessThanOrEqual(1);
    expect(confidence).toBeGreaterThanOrEqual(1 / 3 - 1e-9);
    expect(probabilities.reduce((a, b) => a + b)).toBeCloseTo(1, 9);
  });

  test("takes conversations that are empty or have no user", () => {
    expect(router.classify([]).score).toBeLessThanOrEqual(1);
    expect(router.classify([{ role: "system", content: "Be terse." }]).score).toBeLessThanOrEqual(1);
  });

  test("takes about as long for a megabyte as for what it reads of it", () => {
    const text = "Our distributed lock sometimes grants twice, and the replica lags. Why is that? ";
    const fastest = (prompt: string) => {
      const times = Array.from({ length: 40 }, () => {
        const start = performance.now();
        router.classify(prompt);
        return performance.now() - start;
      });
      return Math.min(...times);
    };
    fastest(text.repeat(60));
    // A hundred times the text; reading all of it would take a hundred times as long.
    expect(fastest(text.repeat(12_000))).toBeLessThan(5 * fastest(text.repeat(120)) + 1);
  });
});

describe("explain", () => {
  test("names the strongest evidence first, no more than asked for, with what speaks for a larger tier positive", () => {
    const evidence = router.explain("Prove there are infinitely many primes of the form 4k+3.", 8);
    expect(evidence).toHaveLength(8);
    const strengths = evidence.map(({ weight }) => Math.abs(weight));
    expect([...strengths].sort((a, b) => b - a)).toEqual(strengths);
    expect(evidence.filter(({ weight }) => weight > 0).length).toBeGreaterThan(4);
    expect(evidence.map(({ feature }) => feature).join("\n")).toMatch(/verb hard|prove|proof/);
    expect(router.explain("hi", 0)).toEqual([]);
  });

  test("adds up to the difference between two scores' logits", () => {
    const sumOf = (prompt: string) =>
      router.explain(prompt, Number.MAX_SAFE_INTEGER).reduce((sum, { weight }) => sum + weight, 0);
    expect(sumOf("Design a consensus protocol and prove it safe.")).toBeGreaterThan(
      sumOf("turn on the light") + 2,
    );
  });
});
