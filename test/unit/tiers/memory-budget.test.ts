import { describe, expect, test } from "vitest";

import { type BudgetedModel, modelsToUnload } from "../../../lib/tiers/memory-budget.js";
import { createDice } from "../../support/dice.js";

const model = (
  name: string,
  bytes: number,
  lastUsedMs: number,
  more: Partial<BudgetedModel> = {},
): BudgetedModel => ({
  ...{ name, bytes, lastUsedMs, isLoaded: true, isIdle: true },
  ...more,
});

const wanted = model("wanted", 40, 0, { isLoaded: false });

describe("modelsToUnload", () => {
  test("unloads nothing where there is room, to the byte", () => {
    expect(modelsToUnload(wanted, [model("a", 60, 1)], 100)).toEqual([]);
    expect(modelsToUnload(wanted, [model("a", 61, 1)], 100)).toEqual(["a"]);
    expect(modelsToUnload(wanted, [model("a", 1e12, 1)], Infinity)).toEqual([]);
  });

  test("takes what was used longest ago", () => {
    const others = [model("new", 40, 9), model("old", 40, 1), model("middle", 20, 5)];
    expect(modelsToUnload(wanted, others, 100)).toEqual(["old"]);
  });

  test("keeps an old one whose memory is not enough, when a newer one has to go anyway", () => {
    const others = [model("old and small", 10, 1), model("newer", 60, 2)];
    expect(modelsToUnload(wanted, others, 60)).toEqual(["newer"]);
  });

  test("leaves models in use, and does not count those that are not loaded", () => {
    const others = [
      model("busy", 50, 1, { isIdle: false }),
      model("absent", 90, 2, { isLoaded: false }),
      model("idle", 30, 3),
    ];
    expect(modelsToUnload(wanted, others, 100)).toEqual(["idle"]);
    expect(modelsToUnload(wanted, others, 89)).toBeUndefined();
  });

  test("does not count the wanted model twice", () => {
    expect(modelsToUnload(wanted, [{ ...wanted, isLoaded: true }, model("a", 60, 1)], 100)).toEqual([]);
  });

  test("says that it fits nowhere when it is larger than the budget", () => {
    expect(modelsToUnload(wanted, [], 39)).toBeUndefined();
    expect(modelsToUnload(wanted, [model("a", 10, 1)], 39)).toBeUndefined();
  });

  test("against all subsets: what goes suffices, none of it goes in vain, and no older ones would do", () => {
    const dice = createDice(7);
    const outcomes = { nothing: 0, some: 0, impossible: 0 };
    for (let round = 0; round < 3000; round += 1) {
      const newcomer = { ...wanted, bytes: 1 + dice(40) };
      const budget = 20 + dice(120);
      const others = Array.from({ length: dice(7) }, (_, index) =>
        // No two were used at the same time.
        model(`m${index}`, 1 + dice(30), dice(1000) * 10 + index, {
          isLoaded: dice(4) > 0,
          isIdle: dice(3) > 0,
        }),
      );
      const found = modelsToUnload(newcomer, others, budget);
      const enough = sufficientSets(newcomer, others, budget);
      if (found === undefined) {
        expect(enough).toEqual([]);
        outcomes.impossible += 1;
        continue;
      }
      const sets = enough.map((set) => set.map(({ name }) => name));
      const isWithin = (set: readonly string[]): boolean => set.every((name) => found.includes(name));
      expect(sets.filter(isWithin)).toEqual([
        expect.toSatisfy((set: string[]) => set.length === found.length),
      ]);
      const newest = (names: readonly string[]): number =>
        Math.max(
          -1,
          ...others.filter(({ name }) => names.includes(name)).map(({ lastUsedMs }) => lastUsedMs),
        );
      expect(newest(found)).toBe(Math.min(...sets.map(newest)));
      outcomes[found.length === 0 ? "nothing" : "some"] += 1;
    }
    expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(100);
  });
});

/** Every set of idle models without which the newcomer fits. */
function sufficientSets(
  newcomer: BudgetedModel,
  others: readonly BudgetedModel[],
  budget: number,
): readonly (readonly BudgetedModel[])[] {
  const loaded = others.filter(({ isLoaded }) => isLoaded);
  const idle = loaded.filter(({ isIdle }) => isIdle);
  const sets = Array.from({ length: 2 ** idle.length }, (_, bits) =>
    idle.filter((_model, index) => ((bits >> index) & 1) === 1),
  );
  return sets.filter((gone) => {
    const kept = loaded.filter((one) => !gone.includes(one));
    return kept.reduce((sum, { bytes }) => sum + bytes, newcomer.bytes) <= budget;
  });
}
