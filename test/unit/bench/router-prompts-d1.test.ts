import { describe, expect, test } from "vitest";

import { families } from "../../../bench/router/prompts/d1.js";
import { type PromptFamily } from "../../../bench/router/prompts/family.js";

const slotPattern = /\{([A-Za-z]+)\}/g;

function slotNames(prompt: string): string[] {
  return [...prompt.matchAll(slotPattern)].map((match) => match[1] ?? "");
}

/** As many expansions of each prompt as its longest slot has fillers; slots walk at different paces. */
function expansions(family: PromptFamily): string[] {
  const slots = family.slots ?? {};
  return family.prompts.flatMap((prompt, promptIndex) => {
    const names = slotNames(prompt);
    const count = Math.max(1, ...names.map((name) => slots[name]?.length ?? 0));
    return Array.from({ length: count }, (_, index) =>
      prompt.replaceAll(slotPattern, (whole, name: string) => {
        const fillers = slots[name] ?? [];
        const pace = names.indexOf(name) + 1;
        return fillers[(index + promptIndex * pace) % fillers.length] ?? whole;
      }),
    );
  });
}

const tiers = [0, 1, 2] as const;
const isTemplate = (family: PromptFamily): boolean => family.slots !== undefined;
const singles = families.filter((family) => !isTemplate(family)).flatMap((family) => family.prompts);
const ofTier = (tier: number): PromptFamily[] => families.filter((family) => family.tier === tier);
const lengthsOfTier = (tier: number): number[] =>
  ofTier(tier)
    .flatMap(expansions)
    .map((prompt) => prompt.length)
    .sort((a, b) => a - b);
const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
const shareOf = (values: readonly number[], isCounted: (value: number) => boolean): number =>
  values.filter(isCounted).length / values.length;

function repeated(values: readonly string[]): string[] {
  const seen = new Set<string>();
  return values.filter((value) => seen.size === seen.add(value).size);
}

describe("prompts of the first writer", () => {
  test("have unique ids with the prefix", () => {
    const ids = families.map((family) => family.id);
    expect(repeated(ids)).toEqual([]);
    expect(ids.filter((id) => !/^d1-[a-z0-9]+(-[a-z0-9]+)+$/.test(id))).toEqual([]);
  });

  test.each(families)("$id defines the slots it uses and uses those it defines", (family) => {
    const used = new Set(family.prompts.flatMap(slotNames));
    expect([...used].sort()).toEqual(Object.keys(family.slots ?? {}).sort());
  });

  test("of templates have at least four phrasings and six fillers a slot", () => {
    for (const family of families.filter(isTemplate)) {
      expect(family.prompts.length, family.id).toBeGreaterThanOrEqual(4);
      for (const fillers of Object.values(family.slots ?? {})) {
        expect(fillers.length, family.id).toBeGreaterThanOrEqual(6);
        expect(repeated(fillers), family.id).toEqual([]);
      }
      // A phrasing without a slot would be repeated by every filler.
      for (const prompt of family.prompts) expect(slotNames(prompt), family.id).not.toEqual([]);
    }
  });

  test("are enough: 28 topics, 700 single prompts, 100 templates", () => {
    expect(new Set(families.map((family) => family.topic)).size).toBeGreaterThanOrEqual(28);
    expect(singles.length).toBeGreaterThanOrEqual(700);
    expect(families.filter(isTemplate).length).toBeGreaterThanOrEqual(100);
  });

  test("have all three tiers in each topic, so that a topic's words do not tell the tier", () => {
    const topics = [...new Set(families.map((family) => family.topic))];
    for (const topic of topics) {
      const found = new Set(families.filter((family) => family.topic === topic).map((family) => family.tier));
      expect([...found].sort(), topic).toEqual([...tiers]);
    }
  });

  test.each(tiers)("of tier %i are 28 to 39 percent of families and of expansions", (tier) => {
    const all = families.flatMap(expansions).length;
    const shares = [ofTier(tier).length / families.length, ofTier(tier).flatMap(expansions).length / all];
    for (const share of shares) {
      expect(share).toBeGreaterThanOrEqual(0.28);
      expect(share).toBeLessThanOrEqual(0.39);
    }
  });

  test("are not repeated, neither written nor expanded, also when case and marks are ignored", () => {
    const plain = (prompt: string): string => prompt.toLowerCase().replaceAll(/[^a-z0-9]+/g, " ");
    expect(repeated(singles.map(plain))).toEqual([]);
    expect(repeated(families.flatMap(expansions))).toEqual([]);
  });

  test("are ASCII and leave no slot open", () => {
    const all = families.flatMap(expansions);
    expect(all.filter((prompt) => /[^\t\n\x20-\x7e]/.test(prompt))).toEqual([]);
    expect(all.filter((prompt) => prompt.trim() !== prompt || prompt.length === 0)).toEqual([]);
  });

  test("do not tell their tier by length", () => {
    const [simple, demanding, hard] = [lengthsOfTier(0), lengthsOfTier(1), lengthsOfTier(2)];
    const simpleMedian = quantile(simple, 0.5);
    const demandingMedian = quantile(demanding, 0.5);
    const hardMedian = quantile(hard, 0.5);
    expect(shareOf(hard, (length) => length < demandingMedian)).toBeGreaterThanOrEqual(0.25);
    expect(shareOf(simple, (length) => length > demandingMedian)).toBeGreaterThanOrEqual(0.25);
    expect(shareOf(simple, (length) => length > hardMedian)).toBeGreaterThanOrEqual(0.15);
    expect(shareOf(hard, (length) => length < simpleMedian)).toBeGreaterThanOrEqual(0.15);
    expect(shareOf(demanding, (length) => length < simpleMedian)).toBeGreaterThanOrEqual(0.15);
  });
});
