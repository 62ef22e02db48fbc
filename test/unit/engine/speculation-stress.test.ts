import { describe, expect, test } from "vitest";

import type { Engine } from "../../../lib/engine/engine.js";
import type { Sequence } from "../../../lib/engine/sequence.js";
import { AirError } from "../../../lib/errors/air-error.js";
import { createDice, type Dice } from "../../support/dice.js";
import { continueAlone, createFakeEngine, fakePrompt } from "../../support/fake-engine.js";
import {
  continueGuessing,
  createGuesser,
  draftGreedily,
  type Guesser,
} from "../../support/fake-speculation.js";

const stopped = new AirError("AIR_ERR_CANCELLED", "expected a run but received a stop");
const closed = new AirError("AIR_ERR_CLOSED", "expected an open engine but received a closed one");

async function pass(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Guesses of a quality that changes from step to step, now and then none, or late. */
async function moody(prompt: readonly number[], length: number, dice: Dice): Promise<Guesser> {
  const guessers = await Promise.all(
    [9, 2, 1, 0].map(async (right) => createGuesser(prompt, length, 1 + dice(8), (place) => place < right)),
  );
  return (text) => {
    const guess = guessers[dice(5)] ?? (() => []);
    return dice(3) > 0 ? guess(text) : pass(dice(4)).then(() => guess(text));
  };
}

/** Runs one text with guesses, or drafts, and aborts at random. */
async function runOnce(engine: Engine, sequence: Sequence, dice: Dice): Promise<void> {
  const prompt = fakePrompt(dice(5), 1 + dice(80));
  const count = 1 + dice(40);
  const alone = await continueAlone(prompt, count);
  if (dice(4) === 0) {
    const cancelLater = async (): Promise<void> => {
      await pass(dice(12));
      engine.cancel(sequence, stopped);
    };
    if (dice(4) === 0) void cancelLater();
    const { tokens } = await draftGreedily(engine, sequence, prompt, count);
    // Fewer when pages are short.
    expect(tokens.length).toBeGreaterThan(0);
    expect(tokens).toEqual(alone.slice(0, tokens.length));
    return;
  }
  const abortAt = dice(4) === 0 ? 1 + dice(count) : -1;
  const guess = await moody(prompt, count + 10, dice);
  const tokens = await continueGuessing(engine, sequence, { prompt, count, guess }, ({ length }) => {
    if (length === abortAt) engine.cancel(sequence, stopped);
  });
  expect(tokens).toEqual(alone);
  expect(sequence.knownTokens).toBe(prompt.length + count - 1);
}

describe("Engine under random load with guesses", () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    "seed %i: every text equals its solo text and the pool ends whole",
    async (seed) => {
      const dice = createDice(seed);
      const { engine, pools, addon } = createFakeEngine({
        pages: [8 + dice(8)],
        maxBatchTokens: 4 + dice(40),
      });
      const outcomes = { done: 0, aborted: 0, exhausted: 0 };
      const user = async (index: number): Promise<void> => {
        const sequence = engine.createSequence();
        for (let turn = 0; turn < 4; turn += 1) {
          await pass(dice(6));
          try {
            await runOnce(engine, sequence, dice);
            outcomes.done += 1;
          } catch (error) {
            if (error === stopped) outcomes.aborted += 1;
            else if (error instanceof AirError && error.code === "AIR_ERR_KV_EXHAUSTED")
              outcomes.exhausted += 1;
            else throw error;
          }
          expect(sequence.draftTokens).toBe(0);
        }
        if (index % 2 === 0) engine.closeSequence(sequence, closed);
      };
      await Promise.all(Array.from({ length: 7 }, (_, index) => user(index)));
      expect(outcomes.done + outcomes.aborted + outcomes.exhausted).toBe(28);
      expect(outcomes.done).toBeGreaterThan(10);
      expect(outcomes.aborted).toBeGreaterThan(0);
      const rows = addon.controls.batches.map(({ logitRows }) => logitRows.length);
      expect(Math.max(...rows)).toBeGreaterThan(3);
      await engine.close(closed);
      pools[0]?.assertWhole();
    },
  );
});
