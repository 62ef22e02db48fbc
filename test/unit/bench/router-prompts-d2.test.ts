import { describe, expect, test } from "vitest";

import { families as pastes } from "../../../bench/router/prompts/d2-pastes.js";
import { families } from "../../../bench/router/prompts/d2.js";
import { type PromptFamily, type TierLabel } from "../../../bench/router/prompts/family.js";

const slotPattern = /\{([a-zA-Z]+)\}/g;
const tiers: readonly TierLabel[] = [0, 1, 2];

/** Names of the slots that a text uses. */
function slotsOf(text: string): string[] {
  return [...text.matchAll(slotPattern)].map((match) => match[1] ?? "");
}

/** As many expansions of every prompt as its longest list of fillers, each filler used at least once. */
function expand(family: PromptFamily): string[] {
  const slots = family.slots ?? {};
  const most = Math.max(1, ...Object.values(slots).map((fillers) => fillers.length));
  return family.prompts.flatMap((prompt) =>
    Array.from({ length: slotsOf(prompt).length === 0 ? 1 : most }, (_, turn) =>
      prompt.replace(slotPattern, (whole, name: string) => {
        const fillers = slots[name] ?? [];
        return fillers[turn % fillers.length] ?? whole;
      }),
    ),
  );
}

/** Lengths in characters of everything of a tier, the shortest first. */
function lengthsOf(tier: TierLabel): number[] {
  const texts = families.filter((family) => family.tier === tier).flatMap(expand);
  return texts.map((text) => text.length).sort((left, right) => left - right);
}

function medianOf(sorted: readonly number[]): number {
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function shareOf(values: readonly number[], holds: (value: number) => boolean): number {
  return values.filter(holds).length / values.length;
}

const singles = families.filter((family) => family.slots === undefined);
const templates = families.filter((family) => family.slots !== undefined);

describe("prompts of the second writer", () => {
  test("have unique family ids with the writer's prefix", () => {
    const ids = families.map((family) => family.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((id) => !/^d2-[a-z0-9-]+$/.test(id))).toEqual([]);
  });

  test("define every slot they use, and use every slot they define in every template", () => {
    for (const family of families) {
      const used = new Set(family.prompts.flatMap(slotsOf));
      expect([...used].sort(), family.id).toEqual(Object.keys(family.slots ?? {}).sort());
    }
  });

  test("have no braces in fillers that a second filling could take for a slot", () => {
    const fillers = templates.flatMap((family) => Object.values(family.slots ?? {}).flat());
    expect(fillers.filter((filler) => slotsOf(filler).length > 0)).toEqual([]);
  });

  test("give templates four phrasings and every slot six fillers without repeats", () => {
    for (const family of templates) {
      expect(family.prompts.length, family.id).toBeGreaterThanOrEqual(4);
      for (const [name, fillers] of Object.entries(family.slots ?? {})) {
        expect(fillers.length, `${family.id} ${name}`).toBeGreaterThanOrEqual(6);
        expect(new Set(fillers).size, `${family.id} ${name}`).toBe(fillers.length);
      }
    }
  });

  test("have all three tiers in each of at least 28 topics", () => {
    const topics = [...new Set(families.map((family) => family.topic))];
    expect(topics.length).toBeGreaterThanOrEqual(28);
    for (const topic of topics) {
      const present = new Set(families.filter((family) => family.topic === topic).map(({ tier }) => tier));
      expect([...present].sort(), topic).toEqual(tiers);
    }
  });

  test("are balanced between the tiers, by families and by expansions", () => {
    const total = families.flatMap(expand).length;
    for (const tier of tiers) {
      const inTier = families.filter((family) => family.tier === tier);
      for (const share of [inTier.length / families.length, inTier.flatMap(expand).length / total]) {
        expect(share).toBeGreaterThan(0.28);
        expect(share).toBeLessThan(0.39);
      }
    }
  });

  test("are at least 700 single prompts and 100 templates", () => {
    expect(singles.flatMap((family) => family.prompts).length).toBeGreaterThanOrEqual(700);
    expect(templates.length).toBeGreaterThanOrEqual(100);
  });

  test("repeat no prompt, also not in other case or spacing", () => {
    const prompts = families.flatMap(expand).map((text) => text.toLowerCase().replace(/\s+/g, " ").trim());
    const repeated = prompts.filter((text, index) => prompts.indexOf(text) !== index);
    expect(repeated).toEqual([]);
  });

  test("do not give the tier away by length", () => {
    const [simple, demanding, hard] = [lengthsOf(0), lengthsOf(1), lengthsOf(2)];
    expect(shareOf(hard, (length) => length < medianOf(simple))).toBeGreaterThan(0.15);
    expect(shareOf(simple, (length) => length > medianOf(hard))).toBeGreaterThan(0.15);
    expect(shareOf(demanding, (length) => length < medianOf(simple))).toBeGreaterThan(0.15);
    expect(shareOf(demanding, (length) => length > medianOf(hard))).toBeGreaterThan(0.15);
  });

  test("are ASCII, as sources are", () => {
    const texts = families.flatMap((family) => [
      ...family.prompts,
      ...Object.values(family.slots ?? {}).flat(),
    ]);
    expect(texts.filter((text) => /[^\n\t\x20-\x7e]/.test(text))).toEqual([]);
  });

  test("of the pastes have something pasted in each", () => {
    for (const family of pastes) {
      const fillers = Object.values(family.slots ?? {}).flat();
      expect(fillers, family.id).not.toEqual([]);
      expect(
        fillers.filter((filler) => filler.length < 40),
        family.id,
      ).toEqual([]);
    }
  });
});
