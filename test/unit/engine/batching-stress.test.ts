import { afterAll, describe, expect, test } from "vitest";

import type { Engine } from "../../../lib/engine/engine.js";
import { AirError } from "../../../lib/errors/air-error.js";
import { createDice } from "../../support/dice.js";
import { continueAlone, continueGreedily, createFakeEngine, fakePrompt } from "../../support/fake-engine.js";

const stopped = new AirError("AIR_ERR_CANCELLED", "expected a run but received a stop");
const closed = new AirError("AIR_ERR_CLOSED", "expected an open engine but received a closed one");

interface Outcomes {
  done: number;
  aborted: number;
  exhausted: number;
  late: number;
}

/** Runs of one client, one after the other: some cancelled, some with too little time. */
async function client(engine: Engine, dice: (sides: number) => number, outcomes: Outcomes): Promise<void> {
  const sequence = engine.createSequence();
  for (let turn = 0; turn < 4; turn += 1) {
    const prompt = fakePrompt(dice(4), 1 + dice(110));
    const count = 1 + dice(30);
    const abortAt = dice(4) === 0 ? dice(count) : -1;
    const isHurried = dice(6) === 0;
    const terms = {
      priority: dice(3) - 1,
      user: `user ${dice(3)}`,
      ...(isHurried && { deadline: performance.now() + dice(3) }),
    };
    for (let wait = dice(6); wait > 0; wait -= 1) await new Promise((resolve) => setImmediate(resolve));
    const onToken = (generated: readonly number[]): void => {
      if (generated.length - 1 === abortAt) engine.cancel(sequence, stopped);
    };
    try {
      const tokens = await continueGreedily(engine, sequence, prompt, count, onToken, terms);
      expect(tokens).toEqual(await continueAlone(prompt, count));
      outcomes.done += 1;
    } catch (error) {
      if (error === stopped) outcomes.aborted += 1;
      else if (error instanceof AirError && error.code === "AIR_ERR_KV_EXHAUSTED") outcomes.exhausted += 1;
      else if (error instanceof AirError && error.code === "AIR_ERR_TIMEOUT" && isHurried) outcomes.late += 1;
      else throw error;
    }
  }
  if (dice(2) === 0) engine.closeSequence(sequence, closed);
}

describe("Engine under random load of several users and priorities", () => {
  let preemptions = 0;
  let hurried = 0;
  afterAll(() => {
    expect(preemptions).toBeGreaterThan(5);
    expect(hurried).toBeGreaterThan(0);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    "seed %i: every text equals its solo text and the pool ends whole",
    async (seed) => {
      const dice = createDice(seed);
      const { engine, pools } = createFakeEngine({
        pages: [9 + dice(10)],
        maxBatchTokens: 1 + dice(60),
        stepStretch: seed % 2 === 0 ? Infinity : 1.5,
        prefixCache: seed % 3 === 0,
      });
      const outcomes: Outcomes = { done: 0, aborted: 0, exhausted: 0, late: 0 };
      await Promise.all(Array.from({ length: 10 }, () => client(engine, dice, outcomes)));
      const { done, aborted, exhausted, late } = outcomes;
      expect(done + aborted + exhausted + late).toBe(40);
      expect(done).toBeGreaterThan(15);
      expect(aborted).toBeGreaterThan(0);
      preemptions += engine.stats.preemptions;
      hurried += late;
      await engine.close(closed);
      pools[0]?.assertWhole();
    },
  );
});
