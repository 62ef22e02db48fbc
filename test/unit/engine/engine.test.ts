import { describe, expect, test } from "vitest";

import { AirError, AirNativeError } from "../../../lib/errors/air-error.js";
import { continueAlone, continueGreedily, createFakeEngine, fakePrompt } from "../../support/fake-engine.js";

const stopped = new AirError("AIR_ERR_CANCELLED", "expected a run but received a stop");
const closed = new AirError("AIR_ERR_CLOSED", "expected an open engine but received a closed one");

describe("Engine", () => {
  test("shares steps among sequences without changing their text", async () => {
    const { engine, addon } = createFakeEngine();
    const prompts = [fakePrompt(1, 5), fakePrompt(2, 40), fakePrompt(3, 17), fakePrompt(4, 1)];
    const together = await Promise.all(
      prompts.map((prompt) => continueGreedily(engine, engine.createSequence(), prompt, 20)),
    );
    expect(together).toEqual(await Promise.all(prompts.map((prompt) => continueAlone(prompt, 20))));
    expect(Math.max(...addon.controls.batches.map((batch) => batch.sequenceStarts.length - 1))).toBe(4);
  });

  test("computes a long prompt in chunks of maxBatchTokens and asks for the last row only", async () => {
    const { engine, addon } = createFakeEngine({ maxBatchTokens: 32 });
    await continueGreedily(engine, engine.createSequence(), fakePrompt(1, 70), 1);
    expect(addon.controls.batches.map((batch) => batch.tokens.length)).toEqual([32, 32, 6]);
    expect(addon.controls.batches.map((batch) => [...batch.logitRows])).toEqual([[], [], [5]]);
  });

  test("hands over several rows of a sequence in order", async () => {
    const { engine } = createFakeEngine({ maxBatchTokens: 8 });
    const tokens = fakePrompt(1, 20);
    const seen: (readonly number[])[] = [];
    await engine.run(engine.createSequence(), {
      tokens,
      logitsFrom: 5,
      onLogits: (logits, firstIndex) => {
        seen.push([firstIndex, logits.length / 50]);
        return [];
      },
    });
    expect(seen).toEqual([
      [5, 3],
      [8, 8],
      [16, 4],
    ]);
  });

  test("takes several new tokens at once and computes all their rows in one step", async () => {
    const { engine } = createFakeEngine();
    const rows: number[] = [];
    await engine.run(engine.createSequence(), {
      tokens: fakePrompt(1, 5),
      logitsFrom: 4,
      onLogits: (logits) => {
        rows.push(logits.length / 50);
        return rows.length === 1 ? [1, 2, 3] : [];
      },
    });
    expect(rows).toEqual([1, 3]);
  });

  test("computes only what differs from the last text of a sequence", async () => {
    const { engine, addon } = createFakeEngine();
    const sequence = engine.createSequence();
    const prompt = fakePrompt(1, 20);
    const first = await continueGreedily(engine, sequence, prompt, 6);
    addon.controls.batches.length = 0;
    const next = [...prompt, ...first, 7, 8];
    const continued = await continueGreedily(engine, sequence, next, 4);
    // The last token of the first run was never computed.
    expect(addon.controls.batches[0]?.tokens).toHaveLength(3);
    expect(sequence.reusedTokens).toBe(25);
    expect(continued).toEqual(await continueAlone(next, 4));
    const other = [...prompt.slice(0, 10), 9, 9];
    expect(await continueGreedily(engine, sequence, other, 4)).toEqual(await continueAlone(other, 4));
    expect(sequence.reusedTokens).toBe(10);
  });

  test("computes the last token again when the whole text is known", async () => {
    const { engine } = createFakeEngine();
    const sequence = engine.createSequence();
    const prompt = fakePrompt(1, 20);
    const first = await continueGreedily(engine, sequence, prompt, 3);
    expect(await continueGreedily(engine, sequence, prompt, 3)).toEqual(first);
    expect(sequence.reusedTokens).toBe(19);
  });

  test("hands hidden states over, in steps that also have logits, whichever run comes first", async () => {
    const { engine, addon, pools } = createFakeEngine({ maxBatchTokens: 8 });
    const alone = createFakeEngine();
    const statesOf = async (target: typeof engine, tokens: number[], hiddenFrom: number) => {
      const rows: number[] = [];
      const sequence = target.createSequence();
      await target.run(sequence, {
        tokens,
        hiddenFrom,
        onHidden: (hidden, firstIndex) => {
          expect(firstIndex).toBe(hiddenFrom + rows.length / 8);
          rows.push(...hidden);
        },
      });
      target.closeSequence(sequence, closed);
      return rows;
    };
    const prompts = [fakePrompt(1, 12), fakePrompt(2, 9), fakePrompt(3, 5)];
    const together = await Promise.all([
      statesOf(engine, fakePrompt(4, 20), 0),
      ...prompts.map((prompt) => continueGreedily(engine, engine.createSequence(), prompt, 12)),
      statesOf(engine, fakePrompt(5, 20), 19),
    ]);
    expect(together).toEqual([
      await statesOf(alone.engine, fakePrompt(4, 20), 0),
      ...(await Promise.all(prompts.map((prompt) => continueAlone(prompt, 12)))),
      await statesOf(alone.engine, fakePrompt(5, 20), 19),
    ]);
    expect(together[0]).toHaveLength(160);
    expect(addon.controls.batches.some(({ logitRows }) => logitRows.length > 2)).toBe(true);
    await engine.close(closed);
    pools[0]?.assertWhole();
  });

  test("refuses a second run of a sequence with AIR_ERR_BUSY", async () => {
    const { engine } = createFakeEngine();
    const sequence = engine.createSequence();
    const first = continueGreedily(engine, sequence, [1], 2);
    await expect(continueGreedily(engine, sequence, [1], 2)).rejects.toMatchObject({ code: "AIR_ERR_BUSY" });
    await first;
  });

  test("ends only the run whose consumer throws", async () => {
    const { engine, pools } = createFakeEngine();
    const bad = engine.createSequence();
    const good = engine.createSequence();
    const results = await Promise.allSettled([
      continueGreedily(engine, bad, fakePrompt(1, 5), 9, (tokens) => {
        if (tokens.length === 3) throw stopped;
      }),
      continueGreedily(engine, good, fakePrompt(2, 5), 9),
    ]);
    expect(results[0]).toMatchObject({ status: "rejected", reason: stopped });
    expect(results[1]).toMatchObject({ value: await continueAlone(fakePrompt(2, 5), 9) });
    await engine.close(closed);
    pools[0]?.assertWhole();
  });
});

describe("Engine and native failures", () => {
  test("fails the runs of the step with the error, keeps the pool whole and goes on", async () => {
    const { engine, pools, addon } = createFakeEngine();
    const failure = new AirNativeError("AIR_ERR_INTERNAL", "expected a working step but received a failure");
    const sequence = engine.createSequence();
    let steps = 0;
    addon.controls.beforeForward = () => {
      steps += 1;
      if (steps === 3) throw failure;
    };
    const results = await Promise.allSettled([
      continueGreedily(engine, sequence, fakePrompt(1, 5), 9),
      continueGreedily(engine, engine.createSequence(), fakePrompt(2, 5), 9),
    ]);
    expect(results.map((result) => result.status === "rejected" && result.reason)).toEqual([
      failure,
      failure,
    ]);
    expect(await continueGreedily(engine, sequence, fakePrompt(1, 5), 9)).toEqual(
      await continueAlone(fakePrompt(1, 5), 9),
    );
    await engine.close(closed);
    pools[0]?.assertWhole();
  });

  test("treats a cancel that nobody asked for as a failure", async () => {
    const { engine, addon } = createFakeEngine();
    const failure = new AirNativeError("AIR_ERR_CANCELLED", "expected a step but received a cancel");
    addon.controls.beforeForward = () => {
      throw failure;
    };
    await expect(continueGreedily(engine, engine.createSequence(), [1], 2)).rejects.toBe(failure);
  });
});

describe("Engine.cancel", () => {
  test("ends a run before its first step at once", async () => {
    const { engine, addon } = createFakeEngine();
    const sequence = engine.createSequence();
    const run = continueGreedily(engine, sequence, fakePrompt(1, 100), 2);
    engine.cancel(sequence, stopped);
    await expect(run).rejects.toBe(stopped);
    expect(addon.controls.batches).toHaveLength(0);
  });

  test("stops the native step when the run is alone in it, and forgets its half-written tokens", async () => {
    const { engine, addon } = createFakeEngine();
    const sequence = engine.createSequence();
    const prompt = fakePrompt(1, 100);
    addon.controls.gate = new Promise(() => undefined);
    const run = continueGreedily(engine, sequence, prompt, 2);
    await new Promise((resolve) => setImmediate(resolve));
    engine.cancel(sequence, stopped);
    await expect(run).rejects.toBe(stopped);
    expect(addon.controls.cancels).toBe(1);
    expect(sequence.computedTokens).toBe(0);
    delete addon.controls.gate;
    expect(await continueGreedily(engine, sequence, prompt, 5)).toEqual(await continueAlone(prompt, 5));
  });

  test("lets a shared step finish, and the others go on undisturbed", async () => {
    const { engine, addon } = createFakeEngine();
    const first = engine.createSequence();
    const results = await Promise.allSettled([
      continueGreedily(engine, first, fakePrompt(1, 5), 50),
      continueGreedily(engine, engine.createSequence(), fakePrompt(2, 5), 12, (tokens) => {
        if (tokens.length === 4)
          setImmediate(() => {
            engine.cancel(first, stopped);
          });
      }),
    ]);
    expect(results[0]).toMatchObject({ reason: stopped });
    expect(results[1]).toMatchObject({ value: await continueAlone(fakePrompt(2, 5), 12) });
    expect(addon.controls.cancels).toBe(0);
  });

  test("stops a shared step once all its runs are cancelled, and a run that came later starts after it", async () => {
    const { engine, addon } = createFakeEngine();
    const [first, second] = [engine.createSequence(), engine.createSequence()];
    addon.controls.gate = new Promise(() => undefined);
    const runs = [first, second].map((sequence, seed) =>
      continueGreedily(engine, sequence, fakePrompt(seed, 9), 5),
    );
    await new Promise((resolve) => setImmediate(resolve));
    engine.cancel(first, stopped);
    expect(addon.controls.cancels).toBe(0);
    const late = continueGreedily(engine, engine.createSequence(), fakePrompt(7, 9), 5);
    delete addon.controls.gate;
    engine.cancel(second, stopped);
    expect(addon.controls.cancels).toBe(1);
    const ended = await Promise.allSettled(runs);
    expect(ended.map((result) => result.status === "rejected" && result.reason)).toEqual([stopped, stopped]);
    expect(await late).toEqual(await continueAlone(fakePrompt(7, 9), 5));
  });
});

describe("Engine.close", () => {
  test("ends every run, waits for the step in flight and leaves the pool whole", async () => {
    const { engine, pools, addon } = createFakeEngine();
    const sequences = [1, 2, 3].map(() => engine.createSequence());
    const runs = sequences.map((sequence, seed) =>
      continueGreedily(engine, sequence, fakePrompt(seed, 9), 50),
    );
    while (addon.controls.batches.length < 3) await new Promise((resolve) => setImmediate(resolve));
    const settled = Promise.allSettled(runs);
    await engine.close(closed);
    expect((await settled).map((result) => result.status === "rejected" && result.reason)).toEqual([
      closed,
      closed,
      closed,
    ]);
    pools[0]?.assertWhole();
    const [sequence] = sequences;
    if (sequence) {
      await expect(continueGreedily(engine, sequence, [1], 1)).rejects.toMatchObject({
        code: "AIR_ERR_CLOSED",
      });
    }
  });
});
