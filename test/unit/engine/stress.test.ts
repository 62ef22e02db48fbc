import { describe, expect, test } from "vitest";

import { AirError } from "../../../lib/errors/air-error.js";
import { createDice } from "../../support/dice.js";
import { continueAlone, continueGreedily, createFakeEngine, fakePrompt } from "../../support/fake-engine.js";

const stopped = new AirError("AIR_ERR_CANCELLED", "expected a run but received a stop");
const closed = new AirError("AIR_ERR_CLOSED", "expected an open engine but received a closed one");

describe("Engine under random load", () => {
  test.each([1, 2, 3, 4, 5, 6])(
    "seed %i: every text equals its solo text and the pool ends whole",
    async (seed) => {
      const dice = createDice(seed);
      const { engine, pools, addon } = createFakeEngine({
        pages: [8 + dice(8)],
        maxBatchTokens: 1 + dice(40),
      });
      const outcomes = { done: 0, aborted: 0, exhausted: 0 };
      const user = async (index: number): Promise<void> => {
        const sequence = engine.createSequence();
        for (let turn = 0; turn < 3; turn += 1) {
          const prompt = fakePrompt(dice(5), 1 + dice(90));
          const count = 1 + dice(40);
          const abortAt = dice(3) === 0 ? dice(count) : -1;
          await Promise.all(
            Array.from({ length: dice(6) }, () => new Promise((resolve) => setImmediate(resolve))),
          );
          try {
            const tokens = await continueGreedily(engine, sequence, prompt, count, (generated) => {
              if (generated.length - 1 === abortAt) engine.cancel(sequence, stopped);
            });
            expect(tokens).toEqual(await continueAlone(prompt, count));
            outcomes.done += 1;
          } catch (error) {
            if (error === stopped) outcomes.aborted += 1;
            else if (error instanceof AirError && error.code === "AIR_ERR_KV_EXHAUSTED")
              outcomes.exhausted += 1;
            else throw error;
          }
        }
        if (index % 2 === 0) engine.closeSequence(sequence, closed);
      };
      await Promise.all(Array.from({ length: 8 }, (_, index) => user(index)));
      expect(outcomes.done + outcomes.aborted + outcomes.exhausted).toBe(24);
      expect(outcomes.done).toBeGreaterThan(5);
      expect(outcomes.aborted).toBeGreaterThan(0);
      expect(
        Math.max(...addon.controls.batches.map((batch) => batch.sequenceStarts.length - 1)),
      ).toBeGreaterThan(1);
      await engine.close(closed);
      pools[0]?.assertWhole();
    },
  );
});
