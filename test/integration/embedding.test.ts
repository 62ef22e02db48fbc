/** Texts as vectors: what they are made of, and that nothing else in the steps changes them. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { loadModel, type Model } from "../../lib/index.js";
import { loadAddon } from "../../lib/native/load.js";
import type { ForwardOutput, NativeAddon, NativeRunner } from "../../lib/native/native.js";
import { largeFile } from "../support/tier-runtime.js";

/** Hidden states by the index of their token, as the runner wrote them, in order of its steps. */
const states: Float32Array[] = [];

/** The real addon, with every step's hidden states written down. */
function listeningAddon(): NativeAddon {
  const addon = loadAddon();
  const listen = (runner: NativeRunner): NativeRunner =>
    new Proxy(runner, {
      get(target, name) {
        if (name !== "forward") {
          const value: unknown = Reflect.get(target, name, target);
          return typeof value === "function" ? (value.bind(target) as unknown) : value;
        }
        return async (...args: Parameters<NativeRunner["forward"]>) => {
          const stats = await target.forward(...args);
          const { hidden }: ForwardOutput = args[1];
          if (hidden !== undefined) states.push(hidden.slice());
          return stats;
        };
      },
    });
  return {
    ...addon,
    createRunner: (...args) => listen(addon.createRunner(...args)),
  };
}

const texts = ["The cat sat on the mat.", "Paris is the capital of France.", "x", "word ".repeat(150)];

function normalised(values: readonly number[]): number[] {
  const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return values.map((value) => value / length);
}

describe("model.embed()", () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(largeFile, {
      ...{ contextTokens: 512, kvTokens: 2048, threads: 1, maxBatchTokens: 64, addon: listeningAddon() },
    });
  });
  afterAll(() => {
    model.close();
  });

  test("is the mean of the states of all tokens, or the state of the last one, of length 1", async () => {
    for (const text of texts) {
      states.length = 0;
      const [mean] = await model.embed([text]);
      const rows = states.flatMap((step) => [...step]);
      const width = mean?.vector.length ?? 0;
      const tokens = rows.length / width;
      expect(tokens).toBe(mean?.tokens);
      const columns = Array.from({ length: width }, (_, column) =>
        Array.from({ length: tokens }, (__, row) => rows[row * width + column] ?? NaN),
      );
      const expected = normalised(columns.map((column) => column.reduce((a, b) => a + b, 0) / tokens));
      expect(
        Math.max(...expected.map((value, i) => Math.abs(value - (mean?.vector[i] ?? NaN)))),
      ).toBeLessThan(1e-6);
      const [last] = await model.embed([text], { pooling: "last" });
      const expectedLast = normalised(rows.slice(-width));
      expect(
        Math.max(...expectedLast.map((value, i) => Math.abs(value - (last?.vector[i] ?? NaN)))),
      ).toBeLessThan(1e-6);
    }
  });

  test("keeps the first components where fewer are wanted, again of length 1", async () => {
    const [all] = await model.embed(texts.slice(0, 1));
    const [few] = await model.embed(texts.slice(0, 1), { dimensions: 10 });
    const expected = normalised([...(all?.vector.subarray(0, 10) ?? [])]);
    expect(few?.vector).toHaveLength(10);
    for (const [index, value] of expected.entries()) expect(few?.vector[index]).toBeCloseTo(value, 6);
  });

  test("gives the same bits alone, together, and among generations", async () => {
    const alone: Float32Array[] = [];
    for (const text of texts) alone.push(...(await model.embed([text])).map(({ vector }) => vector));
    const many = Array.from({ length: 24 }, (_, index) => texts[index % texts.length] ?? "");
    const plain = model.createSession();
    const expectedText = (await plain.generate("Once upon a time", { maxTokens: 60, ignoreEos: true }).result)
      .text;
    plain.close();
    const sessions = Array.from({ length: 4 }, () => model.createSession());
    const answers = sessions.map(
      (session) => session.generate("Once upon a time", { maxTokens: 60, ignoreEos: true }).result,
    );
    const together = await model.embed(many);
    for (const [index, { vector }] of together.entries()) {
      expect([...vector]).toEqual([...(alone[index % texts.length] ?? [])]);
    }
    for (const answer of answers) expect((await answer).text).toBe(expectedText);
    for (const session of sessions) session.close();
    expect(model.stats.freePages).toBe(model.stats.usablePages);
  });

  test("refuses what it cannot do, and leaves nothing behind", async () => {
    const { signal } = new AbortController();
    await expect(model.embed([""])).rejects.toMatchObject({ code: "AIR_ERR_ARGUMENT" });
    await expect(model.embed(["x"], { dimensions: 100_000 })).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
    });
    await expect(model.embed(["word ".repeat(600)])).rejects.toMatchObject({ code: "AIR_ERR_CONTEXT" });
    await expect(model.embed(texts, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "AIR_ERR_CANCELLED",
    });
    const long = Array.from({ length: 200 }, () => "word ".repeat(200));
    await expect(model.embed(long, { timeoutMs: 30, signal })).rejects.toMatchObject({
      code: "AIR_ERR_TIMEOUT",
    });
    expect(await model.embed([])).toEqual([]);
    expect(model.stats.freePages).toBe(model.stats.usablePages);
  });
});
