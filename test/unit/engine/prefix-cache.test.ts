import { describe, expect, test } from "vitest";

import type { EvictionPolicy } from "../../../lib/cache/eviction-policy.js";
import { perHeadGroup, sinkWindow } from "../../../lib/cache/sink-window.js";
import { keepAll } from "../../../lib/cache/eviction-policy.js";
import { AirError } from "../../../lib/errors/air-error.js";
import { createDice } from "../../support/dice.js";
import {
  continueAlone,
  continueGreedily,
  createFakeEngine,
  type FakeEngineOptions,
  fakePrompt,
} from "../../support/fake-engine.js";

const closed = new AirError("AIR_ERR_CLOSED", "expected an open engine but received a closed one");
const stopped = new AirError("AIR_ERR_CANCELLED", "expected no cancel but received one");
const prefixCache = true;

/** A policy like the one of a heads file: group 0 keeps all, group 1 sinks and a window. */
const windowed = perHeadGroup([keepAll, sinkWindow({ windowTokens: 20, sinkTokens: 3 })]);

async function continueOnNew(
  options: FakeEngineOptions,
  prompt: readonly number[],
  count: number,
): Promise<readonly number[]> {
  const { engine } = createFakeEngine({ ...options, pages: (options.pages ?? [64]).map(() => 64) });
  return continueGreedily(engine, engine.createSequence(), prompt, count);
}

describe("Engine with a prefix cache", () => {
  test("computes a text that another sequence computed from its last tokens on", async () => {
    const { engine, addon } = createFakeEngine({ prefixCache });
    const prompt = fakePrompt(1, 70);
    const first = await continueGreedily(engine, engine.createSequence(), prompt, 5);
    addon.controls.batches.length = 0;
    const sequence = engine.createSequence();
    expect(await continueGreedily(engine, sequence, prompt, 5)).toEqual(first);
    expect(first).toEqual(await continueAlone(prompt, 5));
    // Four pages of 16; the last prompt tokens are computed, because a page is taken whole or not at all.
    expect(addon.controls.batches[0]?.tokens).toHaveLength(6);
    expect(sequence.reusedTokens).toBe(64);
    expect(engine.stats.prefixCache).toEqual({ lookups: 2, hits: 1, hitTokens: 64, cachedPages: 4 });
  });

  test("computes the token whose logits are wanted, also when all of the text is known", async () => {
    const { engine } = createFakeEngine({ prefixCache });
    const prompt = fakePrompt(1, 64);
    await continueGreedily(engine, engine.createSequence(), prompt, 2);
    const sequence = engine.createSequence();
    await continueGreedily(engine, sequence, prompt, 1);
    expect(sequence.reusedTokens).toBe(48);
  });

  test("finds the text of a sequence that was closed, until its pages are needed", async () => {
    const { engine, pools } = createFakeEngine({ prefixCache, pages: [6] });
    const sequence = engine.createSequence();
    await continueGreedily(engine, sequence, fakePrompt(1, 64), 2);
    engine.closeSequence(sequence, closed);
    expect(pools[0]?.freePages).toBe(6);
    const again = engine.createSequence();
    await continueGreedily(engine, again, fakePrompt(1, 64), 2);
    expect(again.reusedTokens).toBe(48);
    engine.closeSequence(again, closed);
    await continueGreedily(engine, engine.createSequence(), fakePrompt(2, 90), 2);
    const last = engine.createSequence();
    expect(await continueGreedily(engine, last, fakePrompt(1, 64), 3)).toEqual(
      await continueAlone(fakePrompt(1, 64), 3),
    );
    expect(last.reusedTokens).toBe(0);
    expect(engine.stats.preemptions).toBe(0);
  });

  test("keeps a page that its sequence goes on from in the middle, as long as there are others", async () => {
    const { engine } = createFakeEngine({ prefixCache });
    const sequence = engine.createSequence();
    const prompt = fakePrompt(1, 70);
    await continueGreedily(engine, sequence, prompt, 2);
    const other = [...prompt.slice(0, 56), ...fakePrompt(2, 20)];
    expect(await continueGreedily(engine, sequence, other, 3)).toEqual(await continueAlone(other, 3));
    expect(sequence.reusedTokens).toBe(56);
    const again = engine.createSequence();
    await continueGreedily(engine, again, prompt, 1);
    expect(again.reusedTokens).toBe(64);
  });

  test("shares nothing between keys", async () => {
    const { engine } = createFakeEngine({ prefixCache });
    const prompt = fakePrompt(1, 70);
    await continueGreedily(engine, engine.createSequence("one tenant"), prompt, 2);
    const other = engine.createSequence("another");
    await continueGreedily(engine, other, prompt, 2);
    expect(other.reusedTokens).toBe(0);
    const same = engine.createSequence("one tenant");
    await continueGreedily(engine, same, prompt, 2);
    expect(same.reusedTokens).toBe(64);
  });

  test("lets a run wait for the pages of one that computes the same prompt beside it", async () => {
    const { engine } = createFakeEngine({ prefixCache, maxBatchTokens: 32 });
    const prompt = fakePrompt(1, 200);
    const sequences = [1, 2, 3].map(() => engine.createSequence());
    const texts = await Promise.all(
      sequences.map((sequence) => continueGreedily(engine, sequence, prompt, 4)),
    );
    expect(new Set(texts.map(String)).size).toBe(1);
    expect(texts[0]).toEqual(await continueAlone(prompt, 4));
    expect(engine.stats.computedTokens).toBeLessThan(200 + 3 * 40);
  });

  test("takes over nothing for a text whose every row is wanted", async () => {
    const { engine } = createFakeEngine({ prefixCache });
    const prompt = fakePrompt(1, 70);
    await continueGreedily(engine, engine.createSequence(), prompt, 2);
    const sequence = engine.createSequence();
    let rows = 0;
    await engine.run(sequence, {
      tokens: prompt,
      logitsFrom: 0,
      onLogits: (logits) => {
        rows += logits.length / 50;
        return [];
      },
    });
    expect(rows).toBe(70);
    expect(sequence.reusedTokens).toBe(0);
  });

  test("never knows guesses that did not come true", async () => {
    const { engine } = createFakeEngine({ prefixCache });
    const prompt = fakePrompt(1, 30);
    const expected = await continueAlone(prompt, 40);
    const generated: number[] = [];
    await engine.run(engine.createSequence(), {
      tokens: prompt,
      logitsFrom: prompt.length - 1,
      // A true guess, and false ones to the end of a page and beyond.
      propose: () => [expected[generated.length] ?? 0, ...Array.from({ length: 20 }, () => 49)],
      onLogits: (logits) => {
        const rows = Array.from({ length: logits.length / 50 }, (_, row) => {
          const values = logits.subarray(row * 50, (row + 1) * 50);
          return values.indexOf(values.reduce((a, b) => Math.max(a, b)));
        });
        const taken = [rows[0] ?? 0];
        if (rows.length > 1 && taken[0] === expected[generated.length]) taken.push(rows[1] ?? 0);
        generated.push(...taken);
        return generated.length < 40 ? taken : [];
      },
    });
    expect(generated.slice(0, 40)).toEqual(expected);
    const sequence = engine.createSequence();
    const whole = [...prompt, ...expected.slice(0, 35)];
    expect(await continueGreedily(engine, sequence, whole, 5)).toEqual(await continueAlone(whole, 5));
    expect(sequence.reusedTokens).toBe(64);
  });

  test("takes over pages for a window that drops them again, with the same text", async () => {
    const options = { prefixCache, policy: windowed, pages: [64, 40] };
    const { engine, pools } = createFakeEngine(options);
    const prompt = fakePrompt(1, 120);
    const expected = await continueOnNew({ ...options, prefixCache: false }, prompt, 30);
    expect(await continueGreedily(engine, engine.createSequence(), prompt, 30)).toEqual(expected);
    const sequence = engine.createSequence();
    expect(await continueGreedily(engine, sequence, prompt, 30)).toEqual(expected);
    expect(sequence.reusedTokens).toBe(112);
    expect(sequence.table.evictedTokens(1)).toBeGreaterThan(60);
    await engine.close(closed);
    for (const pool of pools) pool.assertWhole();
  });

  test("gives up pages of a window's group that a long text needs, while the text runs on", async () => {
    const options = { prefixCache, policy: windowed, pages: [64, 5] };
    const { engine } = createFakeEngine(options);
    const prompt = fakePrompt(1, 20);
    const generated = await continueGreedily(engine, engine.createSequence(), prompt, 300);
    expect(generated).toEqual(await continueOnNew({ ...options, prefixCache: false }, prompt, 300));
  });

  test("is off for a policy that looks at attention", async () => {
    const policy: EvictionPolicy = { ...keepAll, name: "looks", usesPageMass: true };
    const { engine } = createFakeEngine({ prefixCache, policy });
    await continueGreedily(engine, engine.createSequence(), fakePrompt(1, 70), 1);
    const sequence = engine.createSequence();
    await continueGreedily(engine, sequence, fakePrompt(1, 70), 1);
    expect(sequence.reusedTokens).toBe(0);
    expect(engine.stats.prefixCache).toBeUndefined();
  });

  test("knows nothing of a step that failed", async () => {
    const { engine, addon } = createFakeEngine({ prefixCache });
    const prompt = fakePrompt(1, 60);
    let steps = 0;
    addon.controls.beforeForward = () => {
      steps += 1;
      if (steps === 2) throw stopped;
    };
    await expect(continueGreedily(engine, engine.createSequence(), prompt, 3)).rejects.toBe(stopped);
    const sequence = engine.createSequence();
    expect(await continueGreedily(engine, sequence, prompt, 3)).toEqual(await continueAlone(prompt, 3));
    expect(sequence.reusedTokens).toBe(32);
  });
});

describe("Engine.forkSequence", () => {
  test("goes on from the same text, computing what is new only, without a trace in the other", async () => {
    const { engine, addon, pools } = createFakeEngine();
    const prompt = fakePrompt(1, 40);
    const sequence = engine.createSequence();
    const start = await continueGreedily(engine, sequence, prompt, 3);
    const text = [...prompt, ...start];
    const fork = engine.forkSequence(sequence);
    addon.controls.batches.length = 0;
    const [one, other] = await Promise.all([
      continueGreedily(engine, sequence, [...text, 7], 20),
      continueGreedily(engine, fork, [...text, 9], 20),
    ]);
    expect(addon.controls.batches[0]?.tokens).toHaveLength(4); // the last of `start` and the new one, twice
    expect(one).toEqual(await continueAlone([...text, 7], 20));
    expect(other).toEqual(await continueAlone([...text, 9], 20));
    engine.closeSequence(sequence, closed);
    expect(await continueGreedily(engine, fork, [...text, 9], 25)).toEqual(
      await continueAlone([...text, 9], 25),
    );
    await engine.close(closed);
    pools[0]?.assertWhole();
  });

  test("refuses a sequence that runs with AIR_ERR_BUSY, and a closed one with AIR_ERR_CLOSED", async () => {
    const { engine } = createFakeEngine();
    const sequence = engine.createSequence();
    const run = continueGreedily(engine, sequence, fakePrompt(1, 40), 3);
    expect(() => engine.forkSequence(sequence)).toThrow(expect.objectContaining({ code: "AIR_ERR_BUSY" }));
    await run;
    engine.closeSequence(sequence, closed);
    expect(() => engine.forkSequence(sequence)).toThrow(expect.objectContaining({ code: "AIR_ERR_CLOSED" }));
  });
});

describe("Engine with a prefix cache under random load", () => {
  test.each(
    [keepAll, windowed].flatMap((policy) => [1, 2, 3, 4].map((seed) => [policy.name, seed, policy] as const)),
  )(
    "policy %s, seed %i: every text equals its solo text and the pools end whole",
    async (_, seed, policy) => {
      const dice = createDice(seed);
      const pages = policy === keepAll ? [8 + dice(8)] : [10 + dice(8), 7 + dice(4)];
      const options = { pages, policy, maxBatchTokens: 8 + dice(32) };
      const { engine, pools } = createFakeEngine({ ...options, prefixCache });
      const outcomes = { done: 0, aborted: 0, exhausted: 0 };
      const user = async (index: number): Promise<void> => {
        let sequence = engine.createSequence();
        for (let turn = 0; turn < 4; turn += 1) {
          const prompt = [...fakePrompt(dice(2), 10 + dice(60)), ...fakePrompt(dice(3), dice(20))];
          const count = 1 + dice(20);
          const abortAt = dice(5) === 0 ? dice(count) : -1;
          for (let waits = dice(6); waits > 0; waits -= 1)
            await new Promise((resolve) => setImmediate(resolve));
          try {
            const tokens = await continueGreedily(engine, sequence, prompt, count, (generated) => {
              if (generated.length - 1 === abortAt) engine.cancel(sequence, stopped);
            });
            expect(tokens).toEqual(await continueOnNew(options, prompt, count));
            outcomes.done += 1;
          } catch (error) {
            if (error === stopped) outcomes.aborted += 1;
            else if (error instanceof AirError && error.code === "AIR_ERR_KV_EXHAUSTED")
              outcomes.exhausted += 1;
            else throw error;
          }
          if (dice(3) === 0) {
            const fork = engine.forkSequence(sequence);
            if (dice(2) === 0) engine.closeSequence(sequence, closed);
            sequence = fork;
          }
        }
        if (index % 2 === 0) engine.closeSequence(sequence, closed);
      };
      await Promise.all(Array.from({ length: 6 }, (_, index) => user(index)));
      expect(outcomes.done + outcomes.aborted + outcomes.exhausted).toBe(24);
      expect(outcomes.done).toBeGreaterThan(8);
      expect(engine.stats.prefixCache?.hits).toBeGreaterThan(3);
      await engine.close(closed);
      for (const pool of pools) pool.assertWhole();
    },
  );
});
