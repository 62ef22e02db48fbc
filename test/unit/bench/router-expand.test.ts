import { describe, expect, test } from "vitest";

import { expandFamilies, toJsonLine } from "../../../bench/router/expand.js";
import { allFamilies } from "../../../bench/router/prompts/all.js";
import type { PromptFamily } from "../../../bench/router/prompts/family.js";
import { splitPrompts } from "../../../bench/router/split.js";
import { parseLabelledPrompts } from "../../../lib/routing/example-file.js";

const options = { seed: 5, perTemplateFamily: 8, conversations: 0 };
const families: readonly PromptFamily[] = [
  {
    id: "fill",
    topic: "t",
    tier: 1,
    prompts: ["{a} and {a} or {b}", "{b} first"],
    slots: { a: ["x", "y"], b: ["p", "q", "r"] },
  },
  { id: "plain", topic: "t", tier: 0, prompts: ["one", "two", "one"] },
];

describe("expandFamilies", () => {
  test("fills slots, the same one alike, and gives each text once", () => {
    const texts = expandFamilies(families, options).map(({ prompt }) => prompt as string);
    expect(new Set(texts).size).toBe(texts.length);
    expect(texts.slice(-2)).toEqual(["one", "two"]);
    for (const text of texts.slice(0, -2)) expect(text).toMatch(/^(x and x|y and y) or [pqr]$|^[pqr] first$/);
    expect(texts.length).toBeGreaterThan(6);
  });

  test("is the same for a seed and another for another", () => {
    const many = { ...options, conversations: 0.5 };
    expect(expandFamilies(families, many)).toEqual(expandFamilies(families, many));
    expect(expandFamilies(families, many)).not.toEqual(expandFamilies(families, { ...many, seed: 6 }));
  });

  test("makes conversations that end in the prompt", () => {
    const all = expandFamilies(families, { ...options, conversations: 1 });
    for (const { prompt } of all) {
      const last = typeof prompt === "string" ? undefined : prompt.at(-1);
      expect(last?.role).toBe("user");
    }
  });

  test("makes at least 3000 prompts of the training families, of all tiers, that can be read back", () => {
    const all = expandFamilies(allFamilies);
    expect(all.length).toBeGreaterThanOrEqual(3000);
    for (const tier of [0, 1, 2]) {
      const share = all.filter((prompt) => prompt.tier === tier).length / all.length;
      expect(share).toBeGreaterThan(0.27);
      expect(share).toBeLessThan(0.4);
    }
    expect(
      all.some(
        ({ prompt }) => typeof prompt === "string" && /\{[a-z_]+\}/.test(prompt) && prompt.length < 80,
      ),
    ).toBe(false);
    expect(parseLabelledPrompts(all.map(toJsonLine).join("\n"), "made")).toEqual(all);
  });
});

describe("splitPrompts", () => {
  test("holds out whole topics and whole families", () => {
    const all = expandFamilies(allFamilies);
    for (const part of [0, 1, 2, 3]) {
      const { train, heldOutFamilies, heldOutTopics } = splitPrompts(all, part);
      expect(train.length + heldOutFamilies.length + heldOutTopics.length).toBe(all.length);
      const trainedFamilies = new Set(train.map(({ family }) => family));
      const trainedTopics = new Set(train.map(({ topic }) => topic));
      expect(heldOutFamilies.some(({ family }) => trainedFamilies.has(family))).toBe(false);
      expect(heldOutTopics.some(({ topic }) => trainedTopics.has(topic))).toBe(false);
      expect(heldOutFamilies.length).toBeGreaterThan(all.length * 0.05);
      expect(heldOutTopics.length).toBeGreaterThan(all.length * 0.05);
    }
  });
});
