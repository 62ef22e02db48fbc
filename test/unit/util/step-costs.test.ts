import { describe, expect, test } from "vitest";

import { StepCosts } from "../../../lib/util/step-costs.js";

/** Costs after steps of [rows, milliseconds]. */
function costsOf(...steps: readonly (readonly [number, number])[]): StepCosts {
  const costs = new StepCosts();
  for (const [rows, ms] of steps) costs.observeStep(rows, ms);
  return costs;
}

describe("StepCosts of steps", () => {
  test("knows nothing before the first step", () => {
    expect(new StepCosts().stepMs(1)).toBeUndefined();
    expect(new StepCosts().knows(1)).toBe(false);
    expect(costsOf([1, 10]).knows(1)).toBe(true);
    expect(costsOf([1, 10]).knows(2)).toBe(false);
  });

  test("guesses that a row more costs little, from a single measurement", () => {
    const costs = costsOf([1, 10]);
    expect(costs.stepMs(1)).toBe(10);
    expect(costs.stepMs(5)).toBeGreaterThan(10);
    expect(costs.stepMs(5)).toBeLessThan(15);
  });

  test("interpolates between measured rows, and goes on as the nearest two do", () => {
    // The second and third are within a factor of two of what is expected, which moves the others a little.
    const costs = costsOf([2, 10], [6, 14], [4, 12]);
    const [two = 0, four = 0, six = 0] = [2, 4, 6].map((rows) => costs.stepMs(rows));
    expect(costs.stepMs(3)).toBeCloseTo((two + four) / 2, 6);
    expect(costs.stepMs(5)).toBeCloseTo((four + six) / 2, 6);
    expect(costs.stepMs(8)).toBeCloseTo(six + (six - four), 6);
    expect(costs.stepMs(1)).toBeCloseTo(two - (four - two) / 2, 6);
  });

  test("does not expect that more rows cost less", () => {
    const costs = new StepCosts();
    for (let index = 0; index < 50; index += 1) {
      costs.observeStep(1, 10);
      costs.observeStep(4, 8);
    }
    expect(costs.stepMs(4)).toBeLessThan(9);
    expect(costs.stepMs(8)).toBeGreaterThanOrEqual(costs.stepMs(4) ?? Infinity);
    expect(costs.stepMs(2)).toBeLessThanOrEqual(10);
  });

  test("follows a cost that changes, and takes the other rows along", () => {
    const costs = costsOf([1, 10], [5, 14]);
    for (let index = 0; index < 40; index += 1) costs.observeStep(1, 20);
    expect(costs.stepMs(1)).toBeCloseTo(20, 0);
    expect(costs.stepMs(5)).toBeGreaterThan(17);
  });

  test("takes a step that was disturbed for no more than twice its usual time", () => {
    const costs = costsOf([1, 10]);
    costs.observeStep(1, 10_000);
    expect(costs.stepMs(1)).toBeCloseTo(12.5, 6);
    for (let index = 0; index < 20; index += 1) costs.observeStep(1, 10);
    expect(costs.stepMs(1)).toBeCloseTo(10, 1);
  });
});

describe("StepCosts of drafts", () => {
  test("are averaged per token", () => {
    const costs = new StepCosts();
    expect(costs.draftMs).toBeUndefined();
    costs.observeDraft(4, 8);
    expect(costs.draftMs).toBe(2);
    for (let index = 0; index < 40; index += 1) costs.observeDraft(2, 6);
    expect(costs.draftMs).toBeCloseTo(3, 2);
  });

  test("count at most twice the usual time", () => {
    const costs = new StepCosts();
    costs.observeDraft(1, 2);
    costs.observeDraft(1, 1000);
    expect(costs.draftMs).toBeCloseTo(2.5, 6);
  });
});
