import { describe, expect, test } from "vitest";

import type { EvictionPolicy } from "../../../lib/cache/eviction-policy.js";
import { keepAll } from "../../../lib/cache/eviction-policy.js";
import { perHeadGroup, sinkWindow, sinkWindowCapacity } from "../../../lib/cache/sink-window.js";
import { continueGreedily, createFakeEngine, fakePrompt } from "../../support/fake-engine.js";

const pageTokens = 16;

/** A policy's windows without its drops: what a cache that keeps everything gives. */
function withoutDrops(policy: EvictionPolicy): EvictionPolicy {
  return { name: `${policy.name}, kept`, decide: (state) => ({ ...policy.decide(state), dropPages: [] }) };
}

describe("sinkWindow", () => {
  test.each([
    { windowTokens: 40, sinkTokens: 4 },
    { windowTokens: 33, sinkTokens: 0 },
    { windowTokens: 1, sinkTokens: 1 },
    { windowTokens: 64, sinkTokens: 20 },
  ])("gives the text of the same window over a cache that keeps everything (%o)", async (limits) => {
    const policy = sinkWindow(limits);
    const kept = createFakeEngine({ pages: [64], policy: withoutDrops(policy) });
    const expected = await continueGreedily(
      kept.engine,
      kept.engine.createSequence(),
      fakePrompt(1, 90),
      200,
    );
    for (const maxBatchTokens of [7, 32, 200]) {
      const capacity = sinkWindowCapacity(limits, 32, pageTokens);
      const { engine, pools } = createFakeEngine({ pages: [capacity / pageTokens], maxBatchTokens, policy });
      const sequence = engine.createSequence();
      let mostPages = 0;
      const text = await continueGreedily(engine, sequence, fakePrompt(1, 90), 200, () => {
        mostPages = Math.max(mostPages, sequence.table.heldPages);
      });
      expect(text).toEqual(expected);
      expect(mostPages * pageTokens).toBeLessThanOrEqual(capacity);
      expect(pools[0]?.usablePages).toBe(capacity / pageTokens);
    }
  });

  test("takes back up to 16 tokens without computing others again", async () => {
    const { engine } = createFakeEngine({ policy: sinkWindow({ windowTokens: 40, sinkTokens: 4 }) });
    const sequence = engine.createSequence();
    const tokens = fakePrompt(2, 150);
    for (let length = 60; length < 150; length += 1) {
      // 16 guesses, computed one by one, of which none comes true.
      const text = tokens.slice(0, length);
      await continueGreedily(engine, sequence, text, 17);
      expect(sequence.computedTokens).toBe(length + 16);
      expect(sequence.reusedTokens).toBeGreaterThanOrEqual(length === 60 ? 0 : length - 2);
    }
  });

  test("keeps everything that fits, so that short texts are those of full attention", async () => {
    const limits = { windowTokens: 60, sinkTokens: 4 };
    const windowed = createFakeEngine({ policy: sinkWindow(limits) });
    const full = createFakeEngine({});
    const [text, expected] = await Promise.all(
      [windowed, full].map(({ engine }) =>
        continueGreedily(engine, engine.createSequence(), fakePrompt(3, 20), 44),
      ),
    );
    expect(text).toEqual(expected);
    const [beyond, other] = await Promise.all(
      [windowed, full].map(({ engine }) =>
        continueGreedily(engine, engine.createSequence(), fakePrompt(3, 20), 80),
      ),
    );
    expect(beyond).not.toEqual(other);
  });

  test("drops pages that no token reads once 16 are taken back, and never the sinks'", () => {
    const state = {
      headGroup: 0,
      pageTokens,
      length: 116,
      incomingTokens: 1,
      cachedTokens: 116,
      evictedTokens: 0,
      pagePositions: [0, 16, 32, 48, 64, 80, 96, 112],
      pageMass: new Float32Array(0),
    };
    // Token 100 would read positions 61 to 100.
    expect(sinkWindow({ windowTokens: 40, sinkTokens: 4 }).decide(state).dropPages).toEqual([1, 2]);
    expect(sinkWindow({ windowTokens: 40, sinkTokens: 0 }).decide(state).dropPages).toEqual([0, 1, 2]);
    expect(sinkWindow({ windowTokens: 40, sinkTokens: 17 }).decide(state).dropPages).toEqual([2]);
    expect(sinkWindow({ windowTokens: 97, sinkTokens: 4 }).decide(state).dropPages).toEqual([]);
    expect(sinkWindow({ windowTokens: 40, sinkTokens: 4 }).decide(state).droppableFrom).toBe(100);
  });
});

describe("perHeadGroup", () => {
  test("asks each head group's own policy, and keeps everything of groups past the last", () => {
    const policy = perHeadGroup([keepAll, sinkWindow({ windowTokens: 16, sinkTokens: 0 })]);
    const state = {
      pageTokens,
      length: 80,
      incomingTokens: 1,
      cachedTokens: 80,
      evictedTokens: 0,
      pagePositions: [0, 16, 32, 48, 64],
      pageMass: new Float32Array(0),
    };
    expect([0, 1, 2].map((headGroup) => policy.decide({ ...state, headGroup }).dropPages)).toEqual([
      [],
      [0, 1, 2],
      [],
    ]);
    expect(policy.usesPageMass).toBe(false);
    expect(policy.name).toBe("keep-all, sinks 0 window 16");
    const limits = { windowTokens: 16, sinkTokens: 0 };
    expect([0, 1, 2].map((headGroup) => policy.capacityTokens?.(headGroup, 32, pageTokens))).toEqual([
      Infinity,
      sinkWindowCapacity(limits, 32, pageTokens),
      Infinity,
    ]);
  });

  test("takes a chunk for what a policy of one's own needs, where it does not say", () => {
    const policy = perHeadGroup([{ name: "own", decide: (state) => keepAll.decide(state) }]);
    expect(policy.capacityTokens?.(0, 48, pageTokens)).toBe(48);
  });
});
