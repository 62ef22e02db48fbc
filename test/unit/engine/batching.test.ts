/** Who goes first, who waits and who is preempted, when several users' runs share steps and pages. */
import { afterEach, describe, expect, test, vi } from "vitest";

import { type EvictionState, keepAll } from "../../../lib/cache/eviction-policy.js";
import { sinkWindow } from "../../../lib/cache/sink-window.js";
import type { Engine } from "../../../lib/engine/engine.js";
import type { RunTerms } from "../../../lib/engine/run.js";
import type { Sequence } from "../../../lib/engine/sequence.js";
import { AirError } from "../../../lib/errors/air-error.js";
import { at } from "../../../lib/util/array-access.js";
import { continueAlone, continueGreedily, createFakeEngine, fakePrompt } from "../../support/fake-engine.js";

const closed = new AirError("AIR_ERR_CLOSED", "expected an open engine but received a closed one");
const stopped = new AirError("AIR_ERR_CANCELLED", "expected a run but received a stop");

afterEach(() => {
  vi.useRealTimers();
});

/** Runs prompts of `tokens` tokens with these terms; resolves to their indices in the order of their first tokens. */
async function firstTokens(
  engine: Engine,
  tokens: number,
  terms: readonly RunTerms[],
): Promise<readonly number[]> {
  const order: number[] = [];
  await Promise.all(
    terms.map(async (term, index) => {
      const prompt = fakePrompt(index + 1, tokens);
      const onToken = (): void => void order.push(index);
      const text = await continueGreedily(engine, engine.createSequence(), prompt, 1, onToken, term);
      expect(text).toEqual(await continueAlone(prompt, 1));
    }),
  );
  return order;
}

describe("Prompts of several users", () => {
  test("take turns, so that one user's many prompts do not hold up another's", async () => {
    const { engine } = createFakeEngine({ maxBatchTokens: 20 });
    const terms = ["a", "a", "a", "a", "b", "c"].map((user) => ({ user }));
    expect(await firstTokens(engine, 40, terms)).toEqual([0, 4, 5, 1, 2, 3]);
  });

  test("go in order of arrival where no user is named", async () => {
    const { engine } = createFakeEngine({ maxBatchTokens: 20 });
    expect(await firstTokens(engine, 40, [{}, {}, {}])).toEqual([0, 1, 2]);
  });

  test("go by priority first, lower ones last", async () => {
    const { engine } = createFakeEngine({ maxBatchTokens: 20 });
    const terms = [
      { user: "a" },
      { user: "b", priority: 1 },
      { user: "a", priority: 2 },
      { priority: -1 },
      {},
    ];
    // The third counts for user a, so that the first waits for the one without a name.
    expect(await firstTokens(engine, 40, terms)).toEqual([2, 1, 4, 0, 3]);
  });
});

/** The runs that are under way, by index, after each token of the run at `index`. */
function watch(sequences: readonly Sequence[], seen: string[]): () => void {
  return () => {
    const running = sequences.flatMap(({ state }, index) => (state === "running" ? [String(index)] : []));
    const text = running.join(" ");
    if (seen.at(-1) !== text) seen.push(text);
  };
}

describe("Admission by pages", () => {
  test("begins a prompt when there are pages for all of it beside those that others grow into", async () => {
    const { engine, addon } = createFakeEngine({ pages: [6], maxBatchTokens: 100 });
    const [first, second] = [engine.createSequence(), engine.createSequence()];
    const sequences = [first, second];
    const seen: string[] = [];
    await Promise.all([
      continueGreedily(engine, first, fakePrompt(1, 20), 20, watch(sequences, seen)), // 2 pages, then 3
      continueGreedily(engine, second, fakePrompt(2, 60), 2, watch(sequences, seen)), // 4 pages
    ]);
    expect(seen).toEqual(["0", "1"]);
    expect(engine.stats.preemptions).toBe(0);
    expect(addon.controls.batches.every(({ sequenceStarts }) => sequenceStarts.length === 2)).toBe(true);
  });

  test("lets nobody overtake a run that waits for pages", async () => {
    const { engine } = createFakeEngine({ pages: [6], maxBatchTokens: 100 });
    const sequences = [1, 2, 3].map(() => engine.createSequence());
    const seen: string[] = [];
    await Promise.all(
      [20, 60, 4].map((tokens, index) =>
        continueGreedily(engine, at(sequences, index), fakePrompt(index, tokens), 3, watch(sequences, seen)),
      ),
    );
    expect(seen[0]).toBe("0");
    expect(seen[1]).toMatch(/^1/);
  });

  test("does not ask for pages that others hold already", async () => {
    const { engine } = createFakeEngine({ pages: [8], maxBatchTokens: 200, prefixCache: true });
    const shared = fakePrompt(1, 80);
    const sequences = [1, 2].map(() => engine.createSequence());
    const seen: string[] = [];
    let second: Promise<readonly number[]> | undefined;
    await continueGreedily(engine, at(sequences, 0), shared, 12, (generated) => {
      watch(sequences, seen)();
      if (generated.length === 3)
        second = continueGreedily(engine, at(sequences, 1), [...shared, 7], 3, watch(sequences, seen));
    });
    expect(await second).toEqual(await continueAlone([...shared, 7], 3));
    expect(seen[1]).toBe("0 1");
  });

  test.each([
    ["says how much it holds", sinkWindow({ windowTokens: 32, sinkTokens: 0 }), ["0 1", "0"]],
    ["does not", { name: "own", decide: (state: EvictionState) => keepAll.decide(state) }, ["0 1", "0"]],
    ["keeps everything", keepAll, ["0", "1"]],
  ])("asks for no more pages than a policy holds: one that %s", async (_, policy, expected) => {
    const { engine } = createFakeEngine({ pages: [13], maxBatchTokens: 16, policy });
    const sequences = [1, 2].map(() => engine.createSequence());
    const seen: string[] = [];
    const runs = [30, 180].map((tokens, index) => {
      const prompt = fakePrompt(index, tokens);
      return continueGreedily(
        engine,
        at(sequences, index),
        prompt,
        index === 0 ? 40 : 2,
        watch(sequences, seen),
      );
    });
    await Promise.all(runs);
    expect(seen.slice(0, 2)).toEqual(expected);
  });

  test("makes room for a higher priority by preempting the newest of the lowest", async () => {
    const { engine, pools } = createFakeEngine({ pages: [7], maxBatchTokens: 100 });
    const priorities = [1, 0, 0];
    const sequences = priorities.map(() => engine.createSequence());
    const urgent = engine.createSequence();
    let preempted: readonly string[] = [];
    let urgentRun: Promise<readonly number[]> | undefined;
    const runs = sequences.map((sequence, index) =>
      continueGreedily(
        engine,
        sequence,
        fakePrompt(index, 4),
        12,
        (generated) => {
          if (index !== 0 || generated.length !== 3) return;
          const note = (): void => {
            preempted = sequences.map(({ state }) => state);
          };
          urgentRun = continueGreedily(engine, urgent, fakePrompt(9, 75), 2, note, { priority: 2 });
        },
        { priority: priorities[index] ?? 0 },
      ),
    );
    const texts = await Promise.all(runs);
    expect(preempted).toEqual(["running", "running", "waiting"]);
    expect(await urgentRun).toEqual(await continueAlone(fakePrompt(9, 75), 2));
    for (const [index, text] of texts.entries())
      expect(text).toEqual(await continueAlone(fakePrompt(index, 4), 12));
    expect(engine.stats.preemptions).toBe(1);
    await engine.close(closed);
    pools[0]?.assertWhole();
  });

  test("takes pages from the user who holds the most, among equals", async () => {
    const { engine } = createFakeEngine({ pages: [8], maxBatchTokens: 100 });
    const users = ["a", "b", "b", "c"];
    const sequences = users.map(() => engine.createSequence());
    const held: number[][] = [];
    await Promise.all(
      users.map((user, index) =>
        continueGreedily(
          engine,
          at(sequences, index),
          fakePrompt(index, index === 0 ? 8 : 4),
          28,
          () => {
            if (index === 0) held.push(sequences.map(({ table }) => table.heldPages));
          },
          { user },
        ),
      ),
    );
    // All have two pages when the first needs a third: of b's two runs the newer gives its up, though c's is newer still.
    expect(held.find(([pages]) => pages === 3)).toEqual([3, 2, 0, 2]);
  });
});

describe("The part of prompts in steps", () => {
  test("keeps steps at so many times their time, as tokens grow dearer", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const { engine, addon } = createFakeEngine({ pages: [400], maxBatchTokens: 500, stepStretch: 2 });
    let tokenMs = 1;
    const stepMs: number[] = [];
    addon.controls.beforeForward = ({ tokens }) => {
      const ms = 40 + tokenMs * tokens.length;
      if (tokens.length > 1) stepMs.push(ms);
      vi.advanceTimersByTime(ms);
    };
    const prompt = fakePrompt(2, 2000);
    const streamed = continueGreedily(engine, engine.createSequence(), fakePrompt(1, 4), 300, (generated) => {
      if (generated.length === 10)
        void engine.run(engine.createSequence(), { tokens: prompt, logitsFrom: 1999, onLogits: () => [] });
      if (generated.length === 30) tokenMs = 2;
    });
    expect(await streamed).toEqual(await continueAlone(fakePrompt(1, 4), 300));
    const beside = stepMs.slice(1); // the first is the stream's own prompt
    expect(beside.length).toBeGreaterThan(50);
    expect(beside.slice(4, 18).every((ms) => ms > 70 && ms <= 90)).toBe(true);
    expect(beside.slice(28, 48).every((ms) => ms > 70 && ms <= 90)).toBe(true);
    expect(Math.max(...beside)).toBeLessThan(130);
  });
});

describe("Deadlines", () => {
  test("end runs with AIR_ERR_TIMEOUT: under way, waiting for pages, and of another step", async () => {
    const { engine, pools, addon } = createFakeEngine({ pages: [4] });
    let open = (): void => undefined;
    addon.controls.gate = new Promise((resolve) => {
      open = () => {
        resolve();
      };
    });
    const deadline = performance.now() + 20;
    const under = continueGreedily(engine, engine.createSequence(), fakePrompt(1, 40), 20, undefined, {
      deadline,
    });
    const waits = continueGreedily(engine, engine.createSequence(), fakePrompt(2, 40), 20, undefined, {
      deadline,
    });
    const patient = continueGreedily(engine, engine.createSequence(), fakePrompt(3, 40), 20);
    await expect(waits).rejects.toMatchObject({ code: "AIR_ERR_TIMEOUT" });
    delete addon.controls.gate;
    open();
    await expect(under).rejects.toMatchObject({ code: "AIR_ERR_TIMEOUT" });
    expect(await patient).toEqual(await continueAlone(fakePrompt(3, 40), 20));
    await engine.close(closed);
    pools[0]?.assertWhole();
  });

  test("that are over before the run begins end it before it computes anything", async () => {
    const { engine, addon } = createFakeEngine();
    const run = continueGreedily(engine, engine.createSequence(), fakePrompt(1, 400), 9, undefined, {
      deadline: performance.now() - 1,
    });
    await expect(run).rejects.toMatchObject({ code: "AIR_ERR_TIMEOUT" });
    expect(addon.controls.batches).toHaveLength(0);
  });

  test("leave no timer behind", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const { engine } = createFakeEngine();
    const sequence = engine.createSequence();
    await continueGreedily(engine, sequence, fakePrompt(1, 4), 3, undefined, { deadline: 1000 });
    const cancelled = continueGreedily(engine, sequence, fakePrompt(1, 4), 3, undefined, { deadline: 1000 });
    engine.cancel(sequence, stopped);
    await expect(cancelled).rejects.toBe(stopped);
    expect(vi.getTimerCount()).toBe(0);
  });
});
