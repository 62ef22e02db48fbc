import { copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

import { afterAll, beforeEach, describe, expect, test } from "vitest";

import type { AirConfig } from "../../lib/tiers/config.js";
import type { RuntimeEvent } from "../../lib/tiers/runtime-types.js";
import {
  asUser,
  createRuntime,
  easyPrompt,
  hardPrompt,
  largeFile,
  plainText,
  smallFile,
  twoTiers,
} from "../support/tier-runtime.js";

const folder = mkdtempSync(join(tmpdir(), "air-tiers-"));
const fragile = join(folder, "fragile.gguf");
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const options = { maxTokens: 12 };

/** What can happen to a file between the start and the first request, and how loading calls it. */
const damages: readonly (readonly [string, string, () => void])[] = [
  [
    "is gone",
    "AIR_ERR_IO",
    () => {
      rmSync(fragile);
    },
  ],
  [
    "was overwritten",
    "AIR_ERR_MODEL_FORMAT",
    () => {
      writeFileSync(fragile, "<html>404 Not Found</html>");
    },
  ],
  [
    "is empty",
    "AIR_ERR_MODEL_FORMAT",
    () => {
      truncateSync(fragile, 0);
    },
  ],
  [
    "was cut off",
    "AIR_ERR_MODEL_FORMAT",
    () => {
      truncateSync(fragile, 900_000);
    },
  ],
];

describe("a tier that cannot be loaded", () => {
  beforeEach(() => {
    copyFileSync(smallFile, fragile);
  });

  test.each(damages)("whose file %s leaves its requests to another one", async (_name, code, damage) => {
    await using runtime = await createRuntime(twoTiers({}, { model: fragile }));
    damage();
    const reply = runtime.generate(asUser(easyPrompt), options);
    expect(await reply.decision).toMatchObject({ name: "small", reason: "score" });
    const result = await reply.result;
    expect(result).toMatchObject({
      tier: "large",
      text: await plainText(largeFile, easyPrompt, options),
      decision: { name: "large", wanted: 0, reason: "unavailable" },
      attempts: [
        { tier: "small", outcome: "failed", reason: code, tokens: 0 },
        { tier: "large", outcome: "answered" },
      ],
    });
    expect(runtime.stats).toMatchObject({ answered: 1, failed: 0, fallbacks: 1 });
    expect(runtime.stats.tiers["small"]).toMatchObject({ failures: 1, loads: 0, active: 0 });
    await expect(
      runtime.generate(asUser(easyPrompt), { ...options, tier: "small" }).result,
    ).rejects.toMatchObject({
      code,
    });
    await expect(runtime.load("small")).rejects.toMatchObject({ code });
    copyFileSync(smallFile, fragile);
    expect((await runtime.generate(asUser(easyPrompt), { ...options, tier: "small" }).result).tier).toBe(
      "small",
    );
  });

  test("is left alone for a while when it fails again and again, until a request finds it well", async () => {
    const breaker = { failures: 2, openMs: 300 };
    await using runtime = await createRuntime(twoTiers({}, { model: fragile, breaker }));
    rmSync(fragile);
    const ask = (tier?: string) =>
      runtime.generate(asUser(easyPrompt), tier ? { ...options, tier } : options);
    for (let failures = 0; failures < 2; failures += 1)
      await expect(ask("small").result).rejects.toMatchObject({ code: "AIR_ERR_IO" });
    expect(runtime.stats.tiers["small"]).toMatchObject({ breaker: "open", requests: 2, failures: 2 });
    // Who insists is told what was wrong; the others are not sent there at all.
    await expect(ask("small").result).rejects.toThrow(/^expected answers from tier small .*in 1 s$/);
    expect(await ask().result).toMatchObject({ tier: "large", attempts: [{ tier: "large" }] });
    expect(runtime.stats.tiers["small"]).toMatchObject({ requests: 2 });
    await setTimeout(350);
    copyFileSync(smallFile, fragile);
    expect(await ask("small").result).toMatchObject({ tier: "small", attempts: [{ tier: "small" }] });
    expect(runtime.stats.tiers["small"]).toMatchObject({ breaker: "closed", failures: 2 });
  });

  test("is asked again at once when it was loaded again", async () => {
    const breaker = { failures: 1, openMs: 60_000 };
    await using runtime = await createRuntime(twoTiers({}, { model: fragile, breaker }));
    rmSync(fragile);
    const ask = () => runtime.generate(asUser(easyPrompt), { ...options, tier: "small" }).result;
    await expect(ask()).rejects.toMatchObject({ code: "AIR_ERR_IO" });
    await expect(runtime.embed(["a"], { tier: "small" })).rejects.toThrow(/may be tried again in 60 s/);
    copyFileSync(smallFile, fragile);
    await runtime.load("small");
    expect(await ask()).toMatchObject({ tier: "small" });
  });

  test("is left alone when its first tokens come too late", async () => {
    const breaker = { failures: 2, slowMs: 1 };
    await using runtime = await createRuntime(twoTiers({}, { breaker }));
    // No two begin alike, or the second would find what the first one computed.
    const ask = (word: string) => runtime.generate(asUser(word.repeat(50)), options).result;
    const answers = [await ask("apple "), await ask("pear "), await ask("plum ")];
    expect(answers.map(({ tier }) => tier)).toEqual(["small", "small", "large"]);
    await expect(
      runtime.generate(asUser(easyPrompt), { ...options, tier: "small" }).result,
    ).rejects.toMatchObject({ code: "AIR_ERR_OVERLOADED" });
  });

  test("fails with what happened to the last one when none is left", async () => {
    await using runtime = await createRuntime(twoTiers({}, { model: fragile }, { model: fragile }));
    rmSync(fragile);
    const reply = runtime.generate(asUser(hardPrompt), options);
    await expect(reply.result).rejects.toMatchObject({ code: "AIR_ERR_IO" });
    expect(runtime.stats).toMatchObject({ answered: 0, failed: 1, fallbacks: 0 });
  });

  test("keeps a runtime from being made when it is to be preloaded, and leaves nothing behind", async () => {
    copyFileSync(largeFile, fragile);
    truncateSync(fragile, 5_000_000);
    const config = twoTiers({ preload: true }, {}, { model: fragile });
    const events: RuntimeEvent[] = [];
    const making = createRuntime(config, { onEvent: (event) => events.push(event) });
    await expect(making).rejects.toMatchObject({ code: "AIR_ERR_MODEL_FORMAT" });
    expect(events).toEqual([]);
  });

  test("lets the answer of the smaller tier count, though it was not trusted", async () => {
    const config = { ...twoTiers({}, {}, { model: fragile }), cascade: { minLogprob: 0 } };
    await using runtime = await createRuntime(config);
    rmSync(fragile);
    const { text, tier, attempts } = await runtime.generate(asUser(easyPrompt), options).result;
    expect([tier, text]).toEqual(["small", await plainText(smallFile, easyPrompt, options)]);
    expect(attempts).toMatchObject([
      { tier: "small", outcome: "rejected", reason: "confidence" },
      { tier: "large", outcome: "failed", reason: "AIR_ERR_IO" },
      { tier: "small", outcome: "answered" },
    ]);
  });

  test("leaves the answer to the largest of those that were not trusted", async () => {
    const [small, large] = twoTiers({}, {}, { model: fragile }).tiers;
    await using runtime = await createRuntime({
      tiers: [small, { ...small, name: "middle", model: largeFile }, large] as AirConfig["tiers"],
      router: { kind: "linear", thresholds: [0.3, 0.6] },
      cascade: { minLogprob: 0, maxEscalations: 9 },
    });
    rmSync(fragile);
    const { text, attempts } = await runtime.generate(asUser(easyPrompt), options).result;
    expect(text).toBe(await plainText(largeFile, easyPrompt, options));
    expect(attempts).toMatchObject([
      { tier: "small", outcome: "rejected" },
      { tier: "middle", outcome: "rejected" },
      { tier: "large", outcome: "failed" },
      { tier: "middle", outcome: "answered", reason: "unavailable" },
    ]);
  });

  test("is not tried for a prompt that does not fit it, by its characters or by its tokens", async () => {
    await using runtime = await createRuntime(twoTiers({ preload: true }, { contextTokens: 64 }));
    const words = await runtime.generate(asUser("apple ".repeat(60)), { maxTokens: 4 }).result;
    expect(words).toMatchObject({
      tier: "large",
      decision: { wanted: 0, reason: "context" },
      attempts: [{}],
    });
    // Few characters, and several tokens each.
    const strange = await runtime.generate(asUser("\u{1f34e}\u{1f34f}\u{1f350}".repeat(10)), { maxTokens: 4 })
      .result;
    expect(strange).toMatchObject({
      tier: "large",
      attempts: [{ tier: "small", reason: "AIR_ERR_CONTEXT" }, {}],
    });
  });

  test("is tried for a prompt that an estimate alone forbids, and says itself when it is too long", async () => {
    await using runtime = await createRuntime(twoTiers({ contextTokens: 64 }));
    const ask = (content: string) => runtime.generate(asUser(content), {}).result;
    // The estimate adds 128 tokens for an answer of any length.
    expect(await ask(easyPrompt)).toMatchObject({ tier: "small", attempts: [{}] });
    await expect(ask("\u{1f34e}\u{1f34f}\u{1f350}".repeat(20))).rejects.toMatchObject({
      code: "AIR_ERR_CONTEXT",
    });
    await expect(ask("apple ".repeat(600))).rejects.toMatchObject({ code: "AIR_ERR_NO_TIER" });
    expect(runtime.stats.tiers["large"]?.requests).toBe(1);
  });
});
