import { describe, expect, test } from "vitest";

import { AirError } from "../../../lib/errors/air-error.js";
import { continueAlone, continueGreedily, createFakeEngine, fakePrompt } from "../../support/fake-engine.js";
import {
  continueGuessing,
  createGuesser,
  draftGreedily,
  type Quality,
} from "../../support/fake-speculation.js";

const closed = new AirError("AIR_ERR_CLOSED", "expected an open engine but received a closed one");
const counts = [1, 2, 3, 4, 5, 6, 7, 8];

const qualities: readonly (readonly [string, Quality])[] = [
  ["right", () => true],
  ["half-right", (place) => place < 2],
  ["wrong", () => false],
  ["wrong but for later ones", (place) => place > 0],
];

describe.each(qualities)("Engine with guesses that are %s", (_name, isRight) => {
  test.each(counts)("continues a text as without them, %i at a time", async (draftTokens) => {
    const prompt = fakePrompt(3, 37);
    const guess = await createGuesser(prompt, 60, draftTokens, isRight);
    const { engine, pools, addon } = createFakeEngine();
    const sequence = engine.createSequence();
    const text = await continueGuessing(engine, sequence, { prompt, count: 41, guess });
    expect(text).toEqual(await continueAlone(prompt, 41));
    // The prompt takes two steps and gives the first token; each later step gives one and what was right.
    const right = counts.slice(0, draftTokens).findIndex((_, place) => !isRight(place));
    const perStep = 1 + (right < 0 ? draftTokens : right);
    expect(engine.stats.steps).toBe(2 + Math.ceil(40 / perStep));
    expect(addon.controls.batches[2]?.logitRows).toHaveLength(1 + draftTokens);
    // The K/V that are kept are those of this text.
    const more = [...prompt, ...text];
    expect(await continueGreedily(engine, sequence, more, 10)).toEqual(await continueAlone(more, 10));
    expect(sequence.reusedTokens).toBe(more.length - 1);
    await engine.close(closed);
    pools[0]?.assertWhole();
  });
});

describe("Engine and guesses", () => {
  test("are asked for once before each step that would compute a single token", async () => {
    const { engine, addon } = createFakeEngine();
    const lengths: number[] = [];
    const guess = (text: readonly number[]): readonly number[] => {
      lengths.push(text.length);
      return [];
    };
    await continueGuessing(engine, engine.createSequence(), { prompt: fakePrompt(1, 70), count: 5, guess });
    expect(lengths).toEqual([71, 72, 73, 74]);
    expect(addon.controls.batches).toHaveLength(7);
  });

  test("are verified beside other sequences that guess more, less or nothing", async () => {
    const prompts = [fakePrompt(1, 5), fakePrompt(2, 20), fakePrompt(3, 33), fakePrompt(4, 1)];
    const { engine, addon } = createFakeEngine();
    const texts = await Promise.all([
      ...prompts.slice(0, 3).map(async (prompt, index) => {
        const guess = await createGuesser(prompt, 40, 2 + 3 * index, (place) => place !== 3);
        return continueGuessing(engine, engine.createSequence(), { prompt, count: 30, guess });
      }),
      continueGreedily(engine, engine.createSequence(), prompts[3] ?? [], 30),
    ]);
    expect(texts).toEqual(await Promise.all(prompts.map((prompt) => continueAlone(prompt, 30))));
    const shared = addon.controls.batches.filter(({ sequenceStarts }) => sequenceStarts.length > 3);
    expect(Math.max(...shared.map(({ logitRows }) => logitRows.length))).toBeGreaterThan(10);
  });

  test("may come late; the step waits for them", async () => {
    const prompt = fakePrompt(1, 9);
    const soon = await createGuesser(prompt, 30, 4, () => true);
    const guess = async (text: readonly number[]) => {
      await new Promise((resolve) => setImmediate(resolve));
      return soon(text);
    };
    const { engine } = createFakeEngine();
    const text = await continueGuessing(engine, engine.createSequence(), { prompt, count: 21, guess });
    expect(text).toEqual(await continueAlone(prompt, 21));
    expect(engine.stats.steps).toBe(5);
  });

  test("of more tokens than a step takes are computed as far as they fit", async () => {
    const prompt = fakePrompt(1, 4);
    const guess = await createGuesser(prompt, 40, 12, () => true);
    const { engine } = createFakeEngine({ maxBatchTokens: 6 });
    const text = await continueGuessing(engine, engine.createSequence(), { prompt, count: 25, guess });
    expect(text).toEqual(await continueAlone(prompt, 25));
  });
});

describe("Engine when a text ends inside a draft", () => {
  test.each([1, 2, 3, 4, 5])("leaves no guess behind, %i tokens into it", async (taken) => {
    const prompt = fakePrompt(5, 28);
    const guess = await createGuesser(prompt, 40, 8, () => true);
    const { engine, pools } = createFakeEngine();
    const sequence = engine.createSequence();
    const count = 1 + taken;
    expect(await continueGuessing(engine, sequence, { prompt, count, guess })).toEqual(
      await continueAlone(prompt, count),
    );
    expect(engine.stats.steps).toBe(2);
    expect(sequence.draftTokens).toBe(0);
    // All but the last token, which nothing followed.
    expect(sequence.knownTokens).toBe(prompt.length + taken);
    expect(sequence.computedTokens).toBe(prompt.length + taken);
    expect(sequence.table.heldPages).toBe(Math.ceil((prompt.length + taken) / 16));
    await engine.close(closed);
    pools[0]?.assertWhole();
  });

  test("leaves no guess behind when its consumer throws", async () => {
    const prompt = fakePrompt(5, 28);
    const guess = await createGuesser(prompt, 40, 8, () => true);
    const { engine, pools } = createFakeEngine();
    const sequence = engine.createSequence();
    const failing = continueGuessing(engine, sequence, { prompt, count: 20, guess }, ({ length }) => {
      if (length === 4) throw closed;
    });
    await expect(failing).rejects.toBe(closed);
    expect([sequence.draftTokens, sequence.knownTokens]).toEqual([0, 29]);
    expect(await continueGreedily(engine, sequence, prompt, 9)).toEqual(await continueAlone(prompt, 9));
    await engine.close(closed);
    pools[0]?.assertWhole();
  });
});

describe("Engine out of pages for guesses", () => {
  test("guesses less, and preempts nobody", async () => {
    const { engine } = createFakeEngine({ pages: [3] });
    const prompts = [fakePrompt(1, 10), fakePrompt(2, 30)];
    const guess = await createGuesser(prompts[0] ?? [], 40, 12, () => false);
    const texts = await Promise.all([
      continueGuessing(engine, engine.createSequence(), { prompt: prompts[0] ?? [], count: 6, guess }),
      continueGreedily(engine, engine.createSequence(), prompts[1] ?? [], 3),
    ]);
    expect(texts).toEqual([
      await continueAlone(prompts[0] ?? [], 6),
      await continueAlone(prompts[1] ?? [], 3),
    ]);
    expect(engine.stats.preemptions).toBe(0);
  });

  test("takes nothing from idle sequences", async () => {
    const { engine } = createFakeEngine({ pages: [3] });
    const idle = engine.createSequence();
    await continueGreedily(engine, idle, fakePrompt(2, 30), 2);
    const prompt = fakePrompt(1, 10);
    const guess = await createGuesser(prompt, 40, 12, () => true);
    const text = await continueGuessing(engine, engine.createSequence(), { prompt, count: 6, guess });
    expect(text).toEqual(await continueAlone(prompt, 6));
    expect(idle.table.heldPages).toBe(2);
  });

  test("leaves the last page to a newer run that needs it in the same step", async () => {
    const { engine, addon } = createFakeEngine({ pages: [3], maxBatchTokens: 64 });
    const prompts = [fakePrompt(1, 8), fakePrompt(2, 16)];
    const guess = await createGuesser(prompts[0] ?? [], 40, 12, () => false);
    // From the second step on the newer run needs a second page, and the older one's guesses would fill one.
    const texts = await Promise.all([
      continueGuessing(engine, engine.createSequence(), { prompt: prompts[0] ?? [], count: 8, guess }),
      continueGreedily(engine, engine.createSequence(), prompts[1] ?? [], 8),
    ]);
    expect(texts).toEqual(await Promise.all(prompts.map((prompt) => continueAlone(prompt, 8))));
    expect(addon.controls.batches).toHaveLength(8);
  });
});

describe("Engine that drafts", () => {
  test.each(counts)(
    "gives %i tokens of the text that plain steps give, with their probabilities",
    async (count) => {
      const prompt = fakePrompt(2, 15);
      const { engine, pools } = createFakeEngine();
      const sequence = engine.createSequence();
      const { tokens, confidence } = await draftGreedily(engine, sequence, prompt, count);
      expect(tokens).toEqual(await continueAlone(prompt, count));
      expect(confidence).toHaveLength(count);
      for (const probability of confidence) expect(probability).toBeGreaterThan(1 / 50);
      expect(sequence.knownTokens).toBe(15 + count);
      expect(sequence.computedTokens).toBe(15 + count - 1); // the last one was not fed back
      await engine.close(closed);
      pools[0]?.assertWhole();
    },
  );

  test("goes on from the K/V of what it drafted, right or wrong", async () => {
    const prompt = fakePrompt(2, 20);
    const { engine } = createFakeEngine();
    const sequence = engine.createSequence();
    const { tokens } = await draftGreedily(engine, sequence, prompt, 6);
    const right = [...prompt, ...tokens.slice(0, 4), 3];
    expect((await draftGreedily(engine, sequence, right, 5)).tokens).toEqual(await continueAlone(right, 5));
    expect(sequence.reusedTokens).toBe(24);
    const wrong = [...prompt.slice(0, 18), 1, 2, 3];
    expect((await draftGreedily(engine, sequence, wrong, 5)).tokens).toEqual(await continueAlone(wrong, 5));
    expect(sequence.reusedTokens).toBe(18);
  });

  test("stops where the confidence falls below its minimum", async () => {
    const prompt = fakePrompt(2, 20);
    const { engine } = createFakeEngine();
    const all = await draftGreedily(engine, engine.createSequence(), prompt, 6);
    const two = (all.confidence[0] ?? 0) * (all.confidence[1] ?? 0);
    const sequence = engine.createSequence();
    const some = await draftGreedily(engine, sequence, prompt, 6, two * 1.001);
    expect(some.tokens).toEqual(all.tokens.slice(0, 2));
    expect([sequence.knownTokens, sequence.computedTokens]).toEqual([22, 21]);
    expect((await draftGreedily(engine, sequence, prompt, 6, two * 0.999)).tokens).toHaveLength(3);
  });

  test("drafts for several texts together, and long ones after their prefill", async () => {
    const prompts = [fakePrompt(1, 5), fakePrompt(2, 100), fakePrompt(3, 17), fakePrompt(4, 64)];
    const { engine, addon } = createFakeEngine({ maxBatchTokens: 32 });
    const drafts = await Promise.all(
      prompts.map(async (prompt, index) => draftGreedily(engine, engine.createSequence(), prompt, 3 + index)),
    );
    expect(drafts.map(({ tokens }) => tokens)).toEqual(
      await Promise.all(prompts.map((prompt, index) => continueAlone(prompt, 3 + index))),
    );
    expect(Math.max(...addon.controls.batches.map(({ tokens }) => tokens.length))).toBe(32);
  });

  test("drafts as far as the pages go", async () => {
    const { engine, pools } = createFakeEngine({ pages: [2] });
    const prompt = fakePrompt(1, 20);
    const { tokens } = await draftGreedily(engine, engine.createSequence(), prompt, 40);
    expect(tokens).toEqual(await continueAlone(prompt, 13)); // 32 tokens have K/V, and the last one needs none
    await engine.close(closed);
    pools[0]?.assertWhole();
  });

  test("drafts next to ordinary runs, whose texts stay the same", async () => {
    const { engine } = createFakeEngine();
    const prompts = [fakePrompt(1, 12), fakePrompt(2, 70), fakePrompt(3, 9)];
    const drafting = engine.createSequence();
    const draftOften = async (): Promise<readonly number[]> => {
      const text = [...(prompts[2] ?? [])];
      while (text.length < 40)
        text.push(...(await draftGreedily(engine, drafting, text, 4)).tokens.slice(0, 3));
      return text.slice(9, 40);
    };
    const texts = await Promise.all([
      continueGreedily(engine, engine.createSequence(), prompts[0] ?? [], 31),
      continueGreedily(engine, engine.createSequence(), prompts[1] ?? [], 31),
      draftOften(),
    ]);
    expect(texts).toEqual(await Promise.all(prompts.map((prompt) => continueAlone(prompt, 31))));
  });

  test("waits for pages that older runs hold, while those go on", async () => {
    const { engine } = createFakeEngine({ pages: [4] });
    const [ordinary, drafting] = [fakePrompt(1, 50), fakePrompt(2, 20)];
    const newer = engine.createSequence();
    let draft: ReturnType<typeof draftGreedily> | undefined;
    const text = await continueGreedily(engine, engine.createSequence(), ordinary, 14, () => {
      draft ??= draftGreedily(engine, newer, drafting, 8);
    });
    expect(text).toEqual(await continueAlone(ordinary, 14));
    expect((await draft)?.tokens).toEqual(await continueAlone(drafting, 8));
    expect(engine.stats.preemptions).toBe(0);
  });
});
