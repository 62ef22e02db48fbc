import { describe, expect, test } from "vitest";

import { AirError } from "../../../lib/errors/air-error.js";
import { continueAlone, continueGreedily, createFakeEngine, fakePrompt } from "../../support/fake-engine.js";

const closed = new AirError("AIR_ERR_CLOSED", "expected an open engine but received a closed one");

describe("Engine out of pages", () => {
  test("fails a run that needs more pages than there are with AIR_ERR_KV_EXHAUSTED; the others go on", async () => {
    const { engine, pools } = createFakeEngine({ pages: [4] });
    const results = await Promise.allSettled([
      continueGreedily(engine, engine.createSequence(), fakePrompt(1, 100), 5),
      continueGreedily(engine, engine.createSequence(), fakePrompt(2, 20), 5),
    ]);
    expect(results[0]).toMatchObject({ reason: { code: "AIR_ERR_KV_EXHAUSTED" } });
    expect(results[1]).toMatchObject({ value: await continueAlone(fakePrompt(2, 20), 5) });
    await engine.close(closed);
    pools[0]?.assertWhole();
  });

  test("fails a run that grows past all pages while generating", async () => {
    const { engine } = createFakeEngine({ pages: [2] });
    const generated: number[] = [];
    await expect(
      continueGreedily(engine, engine.createSequence(), fakePrompt(1, 20), 50, (tokens) => {
        generated.splice(0, generated.length, ...tokens);
      }),
    ).rejects.toMatchObject({ code: "AIR_ERR_KV_EXHAUSTED" });
    // 32 tokens have K/V, so 13 follow the prompt's 20.
    expect(generated).toEqual(await continueAlone(fakePrompt(1, 20), 13));
  });

  test("makes the newer run wait while the older holds the pages", async () => {
    const { engine } = createFakeEngine({ pages: [4] });
    const prompts = [fakePrompt(1, 50), fakePrompt(2, 50)];
    const order: number[] = [];
    const results = await Promise.all(
      prompts.map(async (prompt, index) => {
        const tokens = await continueGreedily(engine, engine.createSequence(), prompt, 10);
        order.push(index);
        return tokens;
      }),
    );
    expect(order).toEqual([0, 1]);
    expect(results).toEqual(await Promise.all(prompts.map((prompt) => continueAlone(prompt, 10))));
  });

  test("resolves two runs that grow until they hold all pages by preempting the newer", async () => {
    const { engine, addon } = createFakeEngine({ pages: [6], maxBatchTokens: 32 });
    const [older, newer] = [engine.createSequence(), engine.createSequence()];
    const prompts = [fakePrompt(1, 4), fakePrompt(2, 60)];
    // There is room for both prompts, and a page more; the newer takes that before the older needs it.
    const results = await Promise.all([
      continueGreedily(engine, older, prompts[0] ?? [], 60),
      continueGreedily(engine, newer, prompts[1] ?? [], 20),
    ]);
    expect(results).toEqual([
      await continueAlone(prompts[0] ?? [], 60),
      await continueAlone(prompts[1] ?? [], 20),
    ]);
    // Once: it waits for the older run to end before it takes pages again.
    expect(engine.stats.preemptions).toBe(1);
    expect(addon.controls.batches.length).toBeLessThan(100);
  });

  test("preempts the newest of several newer runs, which takes no page until there is room again", async () => {
    const { engine } = createFakeEngine({ pages: [6], maxBatchTokens: 64 });
    const [oldest, middle, newest] = [
      engine.createSequence(),
      engine.createSequence(),
      engine.createSequence(),
    ];
    const held: number[][] = [];
    // All begin with a page to grow. In step 16 the newest needs a third and waits; in step 30 the others do.
    const results = await Promise.all([
      continueGreedily(engine, oldest, fakePrompt(1, 4), 32, () => {
        held.push([oldest, middle, newest].map((sequence) => sequence.table.heldPages));
      }),
      continueGreedily(engine, middle, fakePrompt(2, 4), 32),
      continueGreedily(engine, newest, fakePrompt(3, 18), 20),
    ]);
    expect(held[28]).toEqual([2, 2, 2]);
    expect(held[29]).toEqual([3, 3, 0]);
    expect(results[2]).toEqual(await continueAlone(fakePrompt(3, 18), 20));
  });

  test("takes pages from idle sequences before it makes anyone wait, the longest idle first", async () => {
    const { engine, pools } = createFakeEngine({ pages: [5] });
    const [first, second, third] = [1, 2, 3].map(() => engine.createSequence());
    if (!first || !second || !third) return;
    await continueGreedily(engine, first, fakePrompt(1, 30), 1);
    await continueGreedily(engine, second, fakePrompt(2, 30), 1);
    expect(pools[0]?.freePages).toBe(1);
    await continueGreedily(engine, third, fakePrompt(3, 40), 1);
    expect([first, second, third].map((sequence) => sequence.table.heldPages)).toEqual([0, 2, 3]);
    expect(engine.stats.preemptions).toBe(0);
    // The reclaimed sequence computes its text again.
    const again = [...fakePrompt(1, 30), 5];
    expect(await continueGreedily(engine, first, again, 3)).toEqual(await continueAlone(again, 3));
  });

  test("gives the step to other runs when those with a share all wait", async () => {
    const { engine, addon } = createFakeEngine({ pages: [3], maxBatchTokens: 1 });
    const [older, newer] = [engine.createSequence(), engine.createSequence()];
    await continueGreedily(engine, newer, fakePrompt(2, 15), 1);
    const prefill = continueGreedily(engine, older, fakePrompt(1, 40), 4);
    const batches = addon.controls.batches.length;
    while (addon.controls.batches.length === batches) await new Promise((resolve) => setImmediate(resolve));
    // With its K/V reused, the newer run decodes and takes the one token of each step, until it needs a third page.
    const decode = continueGreedily(engine, newer, fakePrompt(2, 15), 25);
    expect(await Promise.all([prefill, decode])).toEqual([
      await continueAlone(fakePrompt(1, 40), 4),
      await continueAlone(fakePrompt(2, 15), 25),
    ]);
  });
});
