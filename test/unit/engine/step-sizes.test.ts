import { describe, expect, test } from "vitest";

import { StepSizes } from "../../../lib/engine/step-sizes.js";
import { continueGreedily, createFakeEngine, fakePrompt } from "../../support/fake-engine.js";

describe("StepSizes", () => {
  test("counts a step in every bound that it keeps", () => {
    const sizes = new StepSizes();
    for (const sequences of [1, 1, 3, 4, 5, 300]) sizes.add(sequences);
    const { sequences, upTo } = sizes.stats;
    expect(sequences).toBe(314);
    expect(upTo.map((bound) => bound.steps)).toEqual([2, 2, 4, 5, 5, 5, 5, 5, 5, 6]);
    expect(upTo.map((bound) => bound.sequences)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, Infinity]);
  });
});

test("an engine counts how many sequences shared its steps", async () => {
  const { engine } = createFakeEngine();
  await continueGreedily(engine, engine.createSequence(), fakePrompt(1, 4), 6);
  const alone = engine.stats;
  expect(alone.stepSizes.sequences).toBe(alone.steps);
  const three = [1, 2, 3].map((seed) =>
    continueGreedily(engine, engine.createSequence(), fakePrompt(seed, 4), 6),
  );
  await Promise.all(three);
  const { steps, stepSizes } = engine.stats;
  expect(steps - alone.steps).toBe(6);
  expect(stepSizes.sequences - alone.stepSizes.sequences).toBe(18);
  const stepsOfThree = (stepSizes.upTo[2]?.steps ?? 0) - (stepSizes.upTo[1]?.steps ?? 0);
  expect(stepsOfThree).toBe(6);
});
