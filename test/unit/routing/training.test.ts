import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { describe, expect, test } from "vitest";

import { tierOf } from "../../../lib/routing/calibration.js";
import type { LabelledPrompt } from "../../../lib/routing/example-file.js";
import { LinearClassifier, loadRouter } from "../../../lib/routing/linear-classifier.js";
import {
  contentOf,
  formatRouterFile,
  packRouter,
  parseRouterFile,
  readRouterFile,
  sealRouter,
  withThresholds,
} from "../../../lib/routing/router-file.js";
import { trainRouter } from "../../../lib/routing/training.js";

const things = [
  "the parser",
  "our garden",
  "a bakery",
  "the cluster",
  "my novel",
  "a school",
  "the ledger",
  "a choir",
];

/** Three kinds of request that words and heads tell apart, about the same things. */
const examples: readonly LabelledPrompt[] = things.flatMap((thing, order) =>
  [
    { prompt: `What is the name of ${thing}?`, tier: 0 as const },
    { prompt: `turn off ${thing} please`, tier: 0 as const },
    { prompt: `Write a short letter about ${thing}, with three paragraphs.`, tier: 1 as const },
    { prompt: `Explain step by step how ${thing} works and give an example.`, tier: 1 as const },
    {
      prompt: `Design a strategy for ${thing} and weigh the trade-offs under a fixed budget.`,
      tier: 2 as const,
    },
    {
      prompt: `Prove that every redesign of ${thing} fails under load, and find the root cause.`,
      tier: 2 as const,
    },
  ].map((example) => ({ ...example, family: `family-${order}` })),
);

const trained = trainRouter(examples);
const file = packRouter(trained);

describe("trainRouter", () => {
  test("tells apart what its examples tell apart, about something new too", () => {
    const classifier = new LinearClassifier(file);
    const tierFor = (prompt: string) => tierOf(classifier.classify(prompt).score, classifier.thresholds);
    expect(tierFor("What is the name of the river?")).toBe(0);
    expect(tierFor("Write a short letter about the river, with two paragraphs.")).toBe(1);
    expect(tierFor("Design a strategy for the river and weigh the trade-offs under a small budget.")).toBe(2);
  });

  test("is deterministic", () => {
    expect(packRouter(trainRouter(examples))).toEqual(file);
  });

  test("judges each example by a model that has not seen its family", () => {
    // Labels of one family are turned around: whoever had seen them would know.
    const turned = examples.map((example) =>
      example.family === "family-0" ? { ...example, tier: (2 - example.tier) as 0 | 1 | 2 } : example,
    );
    const { outOfFold } = trainRouter(turned);
    const family = turned.flatMap(({ family: name, tier }, row) =>
      name === "family-0" && tier !== 1 ? [[tier, outOfFold[row]?.score ?? 0] as const] : [],
    );
    for (const [tier, score] of family) expect(score > 0.5).toBe(tier === 0);
  });

  test("says how far it is", () => {
    const fractions: number[] = [];
    trainRouter(examples, { folds: 2, onProgress: (fraction) => fractions.push(fraction) });
    expect(fractions).toEqual([1 / 3, 2 / 3, 1]);
  });

  test("refuses too few examples of a tier", () => {
    const few = examples.filter(({ tier }, row) => tier !== 2 || row < 24);
    expect(() => trainRouter(few)).toThrow(
      /expected at least 10 prompts of tier 2 for the training data but received/,
    );
  });
});

describe("router file", () => {
  test("survives being written and read", () => {
    expect(parseRouterFile(formatRouterFile(file), "router.json")).toEqual(file);
    expect(formatRouterFile(file).split("\n").length).toBeLessThan(1000);
  });

  test("takes other thresholds and keeps the rest", () => {
    const other = withThresholds(file, [0.2, 0.9]);
    expect(parseRouterFile(formatRouterFile(other), "router.json")).toEqual({
      ...file,
      thresholds: [0.2, 0.9],
      sha256: other.sha256,
    });
    expect(other.sha256).not.toBe(file.sha256);
  });

  const content = contentOf(file);
  const readable = content.readable.map((feature, index) =>
    index === 0 ? { ...feature, name: "luck" } : feature,
  );
  test.each([
    ["what is not JSON", "{", "expected JSON for router.json"],
    [
      "another format",
      JSON.stringify({ ...file, format: "air-heads" }),
      "expected a router file of version 1",
    ],
    ["another version", JSON.stringify({ ...file, version: 2 }), "version"],
    ["unknown fields", JSON.stringify({ ...file, luck: 1 }), "expected a router file of version 1"],
    [
      "a changed number",
      JSON.stringify({ ...file, biases: [0, 0] }),
      "expected content that fits its checksum",
    ],
    [
      "descending thresholds",
      JSON.stringify(sealRouter({ ...content, thresholds: [0.9, 0.1] })),
      "ascending thresholds",
    ],
    [
      "unknown features",
      JSON.stringify(sealRouter({ ...content, readable })),
      "the features of this version of air",
    ],
    [
      "too few weights",
      JSON.stringify(sealRouter({ ...content, ngrams: { ...content.ngrams, weights: ["AAAA", "AAAA"] } })),
      "expected 65536 weights for router.json but received 3",
    ],
  ])("refuses %s", (_, text, message) => {
    const parse = () => parseRouterFile(text, "router.json");
    expect(parse).toThrow(expect.objectContaining({ code: "AIR_ERR_ROUTER_FILE" }));
    expect(parse).toThrow(message);
  });

  test("is read from where it is, or said to be missing", async () => {
    const path_ = path.join(mkdtempSync(path.join(tmpdir(), "air-router-")), "router.json");
    await expect(readRouterFile(path_)).rejects.toMatchObject({ code: "AIR_ERR_IO" });
    writeFileSync(path_, formatRouterFile(file));
    expect((await loadRouter(path_)).thresholds).toEqual(file.thresholds);
  });
});
