import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { GenerateOptions } from "../../lib/index.js";
import { AirRuntime } from "../../lib/tiers/air-runtime.js";
import type { RoutedOptions } from "../../lib/tiers/runtime-types.js";
import {
  asUser,
  calmSensors,
  createRuntime,
  easyPrompt,
  hardPrompt,
  largeFile,
  plainText,
  readReply,
  smallFile,
  twoTiers,
  wordClassifier,
} from "../support/tier-runtime.js";

const options: GenerateOptions = { maxTokens: 24, temperature: 0 };
const texts = { small: "", large: "", smallHard: "", largeEasy: "" };

beforeAll(async () => {
  texts.small = await plainText(smallFile, easyPrompt, options);
  texts.large = await plainText(largeFile, hardPrompt, options);
  texts.smallHard = await plainText(smallFile, hardPrompt, options);
  texts.largeEasy = await plainText(largeFile, easyPrompt, options);
  // Else the tests below could not tell who answered.
  expect(texts.small).not.toBe(texts.largeEasy);
  expect(texts.large).not.toBe(texts.smallHard);
});

describe("AirRuntime", () => {
  let runtime: AirRuntime;

  beforeAll(async () => {
    runtime = await createRuntime(twoTiers({ preload: true }));
  });
  afterAll(() => runtime.close());

  const answer = (prompt: string, more: RoutedOptions = {}) =>
    runtime.generate(asUser(prompt), { ...options, ...more }).result;

  test("sends easy prompts to the small tier and hard ones to the large, and says so", async () => {
    const easy = runtime.generate(asUser(easyPrompt), options);
    const hard = runtime.generate(asUser(hardPrompt), options);
    expect(await easy.decision).toMatchObject({
      tier: 0,
      name: "small",
      wanted: 0,
      reason: "score",
      score: 0.1,
    });
    expect(await hard.decision).toMatchObject({
      tier: 1,
      name: "large",
      wanted: 1,
      reason: "score",
      score: 0.9,
    });
    const [one, other] = [await readReply(easy), await readReply(hard)];
    expect([one.streamed, one.result.text, one.result.tier]).toEqual([texts.small, texts.small, "small"]);
    expect([other.streamed, other.result.text, other.result.tier]).toEqual([
      texts.large,
      texts.large,
      "large",
    ]);
    expect(one.tokens).toEqual(one.result.tokens);
    expect(one.result.decision.detail).toMatch(/^Score 0\.10 asks for small: small answers in \d/);
    expect(one.result.attempts).toEqual([
      {
        ...{ tier: "small", outcome: "answered", reason: "score", tokens: one.result.tokens.length },
        ms: expect.any(Number) as number,
      },
    ]);
  });

  test("takes raw text as text to continue", async () => {
    const prompt = "The capital of France is";
    const { text, tier, promptTokens } = await runtime.generate(prompt, options).result;
    expect([tier, text.length > 0]).toEqual(["small", true]);
    expect(promptTokens).toBeLessThan((await answer(prompt)).promptTokens);
  });

  test("keeps to the tier that a request names, and to its bounds", async () => {
    expect(await answer(easyPrompt, { tier: "large" })).toMatchObject({
      ...{ tier: "large", text: texts.largeEasy, decision: { reason: "pinned", wanted: 0 } },
    });
    expect(await answer(easyPrompt, { minTier: "large" })).toMatchObject({
      ...{ tier: "large", text: texts.largeEasy, decision: { reason: "minimum" } },
    });
    expect(await answer(hardPrompt, { maxTier: "small" })).toMatchObject({
      ...{ tier: "small", text: texts.smallHard, decision: { reason: "maximum" } },
    });
    expect(await answer(hardPrompt, { localOnly: true })).toMatchObject({ tier: "large" });
  });

  test("takes the tier that meets the deadline", async () => {
    const { decision } = await answer(hardPrompt, { deadlineMs: 1 });
    expect([decision.name, decision.reason]).toEqual(["small", "deadline"]);
    expect((await answer(hardPrompt, { deadlineMs: 3_600_000 })).decision.reason).toBe("score");
  });

  test("refuses what it cannot understand, through the reply, with AIR_ERR_ARGUMENT", async () => {
    const wrong: readonly (readonly [unknown, RoutedOptions])[] = [
      [easyPrompt, { tier: "medium" }],
      [easyPrompt, { minTier: "large", maxTier: "small" }],
      [easyPrompt, { deadlineMs: Number.NaN }],
      [easyPrompt, { temperature: -1 }],
      [easyPrompt, { temperatur: 1 } as RoutedOptions],
      ["", {}],
      [[], {}],
      [7, {}],
      [undefined, {}],
      [[{ role: "user" }], {}],
      [[{ role: "robot", content: "Hello" }], {}],
      [[null], {}],
    ];
    for (const [input, extra] of wrong) {
      const reply = runtime.generate(input as string, { ...options, ...extra });
      await expect(reply.result, JSON.stringify([input, extra])).rejects.toMatchObject({
        code: "AIR_ERR_ARGUMENT",
      });
    }
    await expect(runtime.generate(7 as unknown as string).decision).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
    });
    await expect(runtime.route(7 as unknown as string)).rejects.toMatchObject({ code: "AIR_ERR_ARGUMENT" });
  });

  test("says where a request would go without sending it", async () => {
    const before = runtime.stats.requests;
    const { decision, complexity, evidence } = await runtime.route(asUser(hardPrompt), { maxTier: "small" });
    expect(decision).toMatchObject({ name: "small", wanted: 1, reason: "maximum" });
    expect(complexity.score).toBe(0.9);
    expect(evidence).toEqual([]);
    expect(runtime.stats.requests).toBe(before);
  });

  test("counts requests, answers and tokens by tier", async () => {
    await using fresh = await createRuntime(twoTiers());
    await fresh.generate(asUser(easyPrompt), options).result;
    await fresh.generate(asUser(hardPrompt), options).result;
    await fresh.generate(asUser(hardPrompt), { ...options, tier: "none" }).result.catch(() => undefined);
    expect(fresh.tierNames).toEqual(["small", "large"]);
    expect(fresh.stats).toMatchObject({
      ...{ requests: 3, answered: 2, failed: 1, escalations: 0, fallbacks: 0 },
      tiers: {
        small: {
          requests: 1,
          failures: 0,
          loads: 1,
          unloads: 0,
          active: 0,
          waiting: 0,
          answered: 1,
          isLoaded: true,
        },
        large: { requests: 1, answered: 1 },
      },
    });
  });

  test("reuses what requests of the same salt computed, and nothing of others", async () => {
    const prompt = `${"The kettle is on the table, the lamp is in the kitchen. ".repeat(8)}Where is the lamp?`;
    const reusedWith = async (cacheSalt?: string): Promise<number> =>
      (await answer(prompt, { maxTokens: 1, ...(cacheSalt !== undefined && { cacheSalt }) })).reusedTokens;
    expect(await reusedWith("one")).toBe(0);
    expect(await reusedWith("two")).toBe(0);
    expect(await reusedWith()).toBe(0);
    for (const salt of ["one", "two", undefined]) expect(await reusedWith(salt)).toBeGreaterThan(64);
  });

  test("starts from the tier's own options, and lets requests say otherwise", async () => {
    const config = twoTiers({ maxTokens: 5, defaults: { temperature: 3 } });
    await using own = await createRuntime(config);
    const ask = (more: RoutedOptions) =>
      own.generate(asUser(easyPrompt), { seed: 1, ignoreEos: true, tier: "small", ...more }).result;
    const drawn = await ask({});
    expect(drawn.tokens).toHaveLength(5);
    expect((await ask({ maxTokens: 3 })).tokens).toEqual(drawn.tokens.slice(0, 3));
    expect((await ask({ maxTokens: 9 })).tokens).toEqual(drawn.tokens);
    expect((await ask({ temperature: 0 })).text).toBe(
      texts.small.slice(0, (await ask({ temperature: 0 })).text.length),
    );
    expect((await ask({ temperature: 0 })).tokens).not.toEqual(drawn.tokens);
  });

  test("refuses one more request than may wait with AIR_ERR_OVERLOADED, or sends it to another tier", async () => {
    await using busy = await createRuntime(twoTiers({ maxConcurrent: 1, maxWaiting: 0, preload: true }));
    const long: RoutedOptions = { maxTokens: 200, ignoreEos: true };
    const first = busy.generate(asUser(easyPrompt), { ...long, tier: "small" });
    await first.decision;
    const pinned = busy.generate(asUser(easyPrompt), { tier: "small" });
    await expect(pinned.result).rejects.toMatchObject({ code: "AIR_ERR_OVERLOADED" });
    const moved = busy.generate(asUser(easyPrompt), long);
    expect(await moved.decision).toMatchObject({ name: "large", reason: "unavailable" });
    await expect(busy.generate(asUser(easyPrompt)).result).rejects.toMatchObject({
      code: "AIR_ERR_OVERLOADED",
    });
    expect((await first.result).tier).toBe("small");
    expect((await moved.result).tier).toBe("large");
  });
});

describe("AirRuntime.create()", () => {
  test("routes with the classifier that comes with air", async () => {
    await using runtime = await AirRuntime.create(twoTiers(), { sensors: calmSensors });
    const easy = await runtime.route(asUser("What is the capital of France?"));
    const hard = await runtime.route(
      asUser(
        "Prove that the scheduler below cannot deadlock, derive its worst-case latency step by step, and design a " +
          "lock-free replacement in C++ with a formal argument for its memory ordering.",
      ),
    );
    expect([easy.decision.name, hard.decision.name]).toEqual(["small", "large"]);
    expect(hard.evidence.length).toBeGreaterThan(0);
    expect(hard.complexity.score).toBeGreaterThan(easy.complexity.score);
  });

  test.each<[string, unknown, string]>([
    ["nothing", undefined, "AIR_ERR_CONFIG"],
    ["null", null, "AIR_ERR_CONFIG"],
    ["no tiers", {}, "AIR_ERR_CONFIG"],
    ["an empty list", { tiers: [] }, "AIR_ERR_CONFIG"],
    ["tiers of null", { tiers: [null] }, "AIR_ERR_CONFIG"],
    [
      "a tier of an unknown kind",
      { tiers: [{ kind: "local", name: "a", model: smallFile }] },
      "AIR_ERR_CONFIG",
    ],
    ["a missing model", { tiers: [{ name: "a", model: "missing.gguf" }] }, "AIR_ERR_IO"],
    ["a model that is none", { tiers: [{ name: "a", model: import.meta.filename }] }, "AIR_ERR_MODEL_FORMAT"],
    [
      "a router that is none",
      { ...twoTiers(), router: { kind: "linear", file: smallFile } },
      "AIR_ERR_ROUTER_FILE",
    ],
    [
      "an encoder without its package",
      { ...twoTiers(), router: { kind: "encoder", model: "m" } },
      "AIR_ERR_CONFIG",
    ],
  ])("refuses %s", async (_name, config, code) => {
    await expect(AirRuntime.create(config as ReturnType<typeof twoTiers>)).rejects.toMatchObject({ code });
  });

  test("refuses a classifier with too few thresholds", async () => {
    const classifier = { ...wordClassifier, thresholds: [] };
    await expect(createRuntime(twoTiers(), { classifier })).rejects.toMatchObject({ code: "AIR_ERR_CONFIG" });
  });
});
