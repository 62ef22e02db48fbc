import { describe, expect, test } from "vitest";

import type { PagePool } from "../../../lib/cache/page-pool.js";
import type { Engine } from "../../../lib/engine/engine.js";
import type { Sequence } from "../../../lib/engine/sequence.js";
import { AirError } from "../../../lib/errors/air-error.js";
import { createDeferred } from "../../../lib/util/deferred.js";
import { continueAlone, continueGreedily, createFakeEngine, fakePrompt } from "../../support/fake-engine.js";
import { continueGuessing, createGuesser, draftGreedily } from "../../support/fake-speculation.js";

const stopped = new AirError("AIR_ERR_CANCELLED", "expected a run but received a stop");
const closed = new AirError("AIR_ERR_CLOSED", "expected an open engine but received a closed one");
const prompt = fakePrompt(1, 28);

/** A run that was stopped in some phase. */
interface Stopped {
  readonly engine: Engine;
  readonly pools: readonly PagePool[];
  readonly sequence: Sequence;
  readonly run: Promise<unknown>;
  /** Lets what is still on its way end. */
  readonly release: () => void;
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
}

/** A run whose guesses are on their way. */
async function whileGuessing(): Promise<Stopped> {
  const { engine, pools } = createFakeEngine();
  const sequence = engine.createSequence();
  const guesses = createDeferred<readonly number[]>();
  let isAsked = false;
  const guess = async () => {
    isAsked = true;
    return guesses.promise;
  };
  const run = continueGuessing(engine, sequence, { prompt, count: 20, guess });
  await until(() => isAsked);
  const release = (): void => {
    guesses.resolve([1, 2, 3]);
  };
  return { engine, pools, sequence, run, release };
}

/** A run whose guesses are being verified, by a step that does not end. */
async function whileVerifying(): Promise<Stopped> {
  const { engine, pools, addon } = createFakeEngine();
  const sequence = engine.createSequence();
  const right = await createGuesser(prompt, 30, 6, () => true);
  const guess = (text: readonly number[]) => {
    if (text.length > 30) addon.controls.gate = new Promise(() => undefined);
    return right(text);
  };
  const run = continueGuessing(engine, sequence, { prompt, count: 20, guess });
  await until(() => addon.controls.gate !== undefined && sequence.draftTokens > 0);
  await new Promise((resolve) => setImmediate(resolve));
  return { engine, pools, sequence, run, release: () => delete addon.controls.gate };
}

/** A drafting run, after `steps` steps of its prefill and draft. */
function whileDrafting(steps: number): () => Promise<Stopped> {
  return async () => {
    const { engine, pools, addon } = createFakeEngine({ maxBatchTokens: 16 });
    const sequence = engine.createSequence();
    addon.controls.beforeForward = () => {
      if (addon.controls.batches.length === steps) addon.controls.gate = new Promise(() => undefined);
    };
    const run = draftGreedily(engine, sequence, prompt, 9);
    await until(() => addon.controls.gate !== undefined);
    const release = (): void => {
      delete addon.controls.beforeForward;
      delete addon.controls.gate;
    };
    return { engine, pools, sequence, run, release };
  };
}

/** A run that waits for the pages of an older one. */
async function whileWaiting(): Promise<Stopped> {
  const { engine, pools, addon } = createFakeEngine({ pages: [3] });
  const older = continueGreedily(engine, engine.createSequence(), fakePrompt(2, 40), 200);
  older.catch(() => undefined);
  await until(() => addon.controls.batches.length > 1);
  const sequence = engine.createSequence();
  const guess = await createGuesser(prompt, 30, 6, () => true);
  const run = continueGuessing(engine, sequence, { prompt, count: 20, guess });
  await new Promise((resolve) => setImmediate(resolve));
  return { engine, pools, sequence, run, release: () => undefined };
}

const phases: readonly (readonly [string, () => Promise<Stopped>])[] = [
  ["its guesses are on their way", whileGuessing],
  ["its guesses are verified", whileVerifying],
  ["it is prefilled for a draft", whileDrafting(0)],
  ["it drafts its first token", whileDrafting(1)],
  ["it drafts a later token", whileDrafting(5)],
  ["it waits for pages", whileWaiting],
];

describe.each(phases)("Engine with a run that is stopped while %s", (_name, start) => {
  test("ends the run and forgets its guesses on cancel, and can run the text again", async () => {
    const { engine, pools, sequence, run, release } = await start();
    const ended = expect(run).rejects.toBe(stopped);
    engine.cancel(sequence, stopped);
    release();
    await ended;
    expect([sequence.draftTokens, sequence.state]).toEqual([0, "idle"]);
    expect(sequence.computedTokens).toBeLessThanOrEqual(sequence.knownTokens);
    const another = engine.createSequence();
    const again = Promise.allSettled([
      continueGreedily(engine, sequence, prompt, 5),
      draftGreedily(engine, another, prompt, 3),
    ]);
    if (start !== whileWaiting) {
      const expected = await continueAlone(prompt, 5);
      expect(await again).toMatchObject([{ value: expected }, { value: { tokens: expected.slice(0, 3) } }]);
    }
    await engine.close(closed);
    await again;
    for (const pool of pools) pool.assertWhole();
  });

  test("frees the sequence's pages when it is closed", async () => {
    const { engine, pools, sequence, run, release } = await start();
    const ended = expect(run).rejects.toBe(stopped);
    engine.closeSequence(sequence, stopped);
    release();
    await ended;
    expect(sequence.table.heldPages).toBe(0);
    await engine.close(closed);
    for (const pool of pools) pool.assertWhole();
  });

  test("ends with the engine, which waits for what is on its way", async () => {
    const { engine, pools, run, release } = await start();
    const ended = expect(run).rejects.toBe(closed);
    const closing = engine.close(closed);
    release();
    await closing;
    await ended;
    for (const pool of pools) pool.assertWhole();
  });
});

describe("Engine with a run that is stopped between steps", () => {
  test.each([0, 1, 5])("keeps the others' guesses as they are, %i turns of the loop later", async (turns) => {
    const { engine, pools } = createFakeEngine();
    const other = fakePrompt(2, 9);
    const guess = await createGuesser(prompt, 60, 5, (place) => place < 3);
    const otherGuess = await createGuesser(other, 60, 5, (place) => place < 3);
    const sequence = engine.createSequence();
    const stop = async (): Promise<void> => {
      for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      engine.cancel(sequence, stopped);
    };
    const results = await Promise.allSettled([
      continueGuessing(engine, sequence, { prompt, count: 50, guess }, ({ length }) => {
        if (length === 12) void stop();
      }),
      continueGuessing(engine, engine.createSequence(), { prompt: other, count: 40, guess: otherGuess }),
    ]);
    expect(results[0]).toMatchObject({ reason: stopped });
    expect(results[1]).toMatchObject({ value: await continueAlone(other, 40) });
    expect(sequence.draftTokens).toBe(0);
    await engine.close(closed);
    pools[0]?.assertWhole();
  });
});
