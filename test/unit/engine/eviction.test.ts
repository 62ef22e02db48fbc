import { describe, expect, test } from "vitest";

import type { EvictionPolicy, EvictionState } from "../../../lib/cache/eviction-policy.js";
import { AirError } from "../../../lib/errors/air-error.js";
import { continueAlone, continueGreedily, createFakeEngine, fakePrompt } from "../../support/fake-engine.js";

const pageTokens = 16;
const sinkTokens = 4;
const closed = new AirError("AIR_ERR_CLOSED", "expected an open engine but received a closed one");

/** Keeps the first page (for its sinks) and the last two full pages of head group 1, and all of group 0. */
function createToyPolicy(states: EvictionState[]): EvictionPolicy {
  return {
    name: "toy",
    decide: (state) => {
      states.push({ ...state, pagePositions: [...state.pagePositions] }); // they are valid during the call
      const fullPages = Math.floor(state.cachedTokens / pageTokens);
      const dropCount = state.headGroup === 1 ? Math.max(0, fullPages - 3) : 0;
      const evicted = state.evictedTokens + dropCount * pageTokens;
      if (evicted === 0) return { dropPages: [], sinkTokens: 0, windowTokens: 0 };
      const dropPages = Array.from({ length: dropCount }, (_, index) => index + 1);
      return { dropPages, sinkTokens, windowTokens: 0 };
    },
  };
}

describe("Engine with an eviction policy", () => {
  test("asks the policy before each step, per head group, and frees what it drops", async () => {
    const states: EvictionState[] = [];
    const { engine, pools, addon } = createFakeEngine({ pages: [20, 6], policy: createToyPolicy(states) });
    const sequence = engine.createSequence();
    const generated = await continueGreedily(engine, sequence, fakePrompt(1, 20), 200);
    expect(generated).toHaveLength(200); // far past the 96 tokens that group 1 has pages for
    expect(sequence.table.pages(1).length).toBeLessThanOrEqual(4);
    expect(states[0]).toEqual({
      headGroup: 0,
      pageTokens,
      length: 0,
      incomingTokens: 20,
      cachedTokens: 0,
      evictedTokens: 0,
      pagePositions: [],
      pageMass: new Float32Array(0),
    });
    const last = addon.controls.batches.at(-1);
    const length = 219;
    const evicted = sequence.table.evictedTokens(1);
    expect(evicted).toBeGreaterThan(100);
    expect([...(last?.positions ?? [])]).toEqual([length - 1]);
    expect([...(last?.contextLengths ?? [])]).toEqual([length, length - evicted]);
    expect([...(last?.sinkTokens ?? [])]).toEqual([0, sinkTokens]);
    expect([...(last?.evictedTokens ?? [])]).toEqual([0, evicted]);
    expect([...(last?.windowTokens ?? [])]).toEqual([0, 0]);
    const positions = states.filter(({ headGroup }) => headGroup === 1).at(-1)?.pagePositions ?? [];
    expect(positions[0]).toBe(0);
    expect(positions.slice(1)).toEqual(
      positions.slice(1).map((_, order) => evicted + (order + 1) * pageTokens),
    );
    // What a prefix attended to is gone, so nothing of it is reused.
    await continueGreedily(engine, sequence, fakePrompt(1, 20), 1);
    expect(sequence.reusedTokens).toBe(0);
    await engine.close(closed);
    for (const pool of pools) pool.assertWhole();
  });

  test("shortens a chunk to the free pages, so that a policy can make room for the rest", async () => {
    const { engine, addon } = createFakeEngine({
      pages: [20, 6],
      maxBatchTokens: 200,
      policy: createToyPolicy([]),
    });
    await continueGreedily(engine, engine.createSequence(), fakePrompt(1, 150), 1);
    expect(addon.controls.batches.map((batch) => batch.tokens.length)).toEqual([96, 48, 6]);
  });

  test("gives the same text however the other sequences share the steps", async () => {
    const alone = createFakeEngine({ pages: [20, 8], policy: createToyPolicy([]) });
    const expected = await continueGreedily(
      alone.engine,
      alone.engine.createSequence(),
      fakePrompt(1, 20),
      80,
    );
    const { engine } = createFakeEngine({ pages: [40, 12], policy: createToyPolicy([]) });
    const [tokens] = await Promise.all([
      continueGreedily(engine, engine.createSequence(), fakePrompt(1, 20), 80),
      continueGreedily(engine, engine.createSequence(), fakePrompt(2, 9), 60),
    ]);
    expect(tokens).toEqual(expected);
  });

  test("fails the runs, not the process, when a policy drops a page that is not full", async () => {
    const policy: EvictionPolicy = {
      name: "broken",
      decide: () => ({ dropPages: [7], sinkTokens: 0, windowTokens: 0 }),
    };
    const { engine, pools } = createFakeEngine({ policy });
    await expect(continueGreedily(engine, engine.createSequence(), [1], 2)).rejects.toMatchObject({
      code: "AIR_ERR_PAGE_RANGE",
    });
    await engine.close(closed);
    pools[0]?.assertWhole();
  });

  test("reuses nothing of a step that a policy broke after others had their pages", async () => {
    const prompt = fakePrompt(1, 20);
    let broken = true;
    const policy: EvictionPolicy = {
      name: "breaks at the second sequence",
      decide: ({ incomingTokens }) => {
        const dropPages = broken && incomingTokens === 1 ? [7] : [];
        return { dropPages, sinkTokens: 0, windowTokens: 0 };
      },
    };
    const { engine } = createFakeEngine({ policy });
    const sequence = engine.createSequence();
    const failed = await Promise.allSettled([
      continueGreedily(engine, sequence, prompt, 2),
      continueGreedily(engine, engine.createSequence(), [1], 2),
    ]);
    expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    broken = false;
    expect(await continueGreedily(engine, sequence, prompt, 8)).toEqual(await continueAlone(prompt, 8));
    expect(sequence.reusedTokens).toBe(0);
  });
});
