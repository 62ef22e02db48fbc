import { beforeAll, describe, expect, test } from "vitest";

import type { GeneratedChunk, GenerateOptions } from "../../lib/index.js";
import type { AirRuntime } from "../../lib/tiers/air-runtime.js";
import type { AirConfig } from "../../lib/tiers/config.js";
import {
  asUser,
  createRuntime,
  easyPrompt,
  largeFile,
  plainText,
  readReply,
  smallFile,
  twoTiers,
  until,
} from "../support/tier-runtime.js";

const options: GenerateOptions = { maxTokens: 40, ignoreEos: true };
const texts = { small: "", large: "" };
/** Means of log-probabilities that no answer reaches, and that all do. */
const never = 0;
const always = -100;

beforeAll(async () => {
  texts.small = await plainText(smallFile, easyPrompt, options);
  texts.large = await plainText(largeFile, easyPrompt, options);
  expect(texts.small.slice(0, 10)).not.toBe(texts.large.slice(0, 10));
});

function cascading(cascade: AirConfig["cascade"], config: AirConfig = twoTiers()): Promise<AirRuntime> {
  return createRuntime({ ...config, cascade });
}

describe("a cascade", () => {
  test("hands an answer that is not trusted to the larger tier, and nothing of it to the reader", async () => {
    await using runtime = await cascading({ minLogprob: never });
    const reply = runtime.generate(asUser(easyPrompt), options);
    const { streamed, tokens, result } = await readReply(reply);
    expect([streamed, result.text, result.tier]).toEqual([texts.large, texts.large, "large"]);
    expect(tokens).toEqual(result.tokens);
    expect(result.decision).toMatchObject({ name: "large", reason: "escalated", wanted: 0 });
    expect(result.decision.detail).toBe("large answers, as small was not sure of it.");
    expect(await reply.decision).toMatchObject({ name: "small", reason: "score" });
    expect(result.attempts).toMatchObject([
      { tier: "small", outcome: "rejected", reason: "confidence" },
      { tier: "large", outcome: "answered", reason: "escalated", tokens: 40 },
    ]);
    // The hold is over after 32 tokens, and so is the answer.
    expect(result.attempts[0]?.tokens).toBeLessThan(40);
    expect(runtime.stats).toMatchObject({ escalations: 1, fallbacks: 0, answered: 1 });
    expect(runtime.stats.tiers["small"]).toMatchObject({ active: 0, answered: 0 });
  });

  test("changes nothing of an answer that is trusted", async () => {
    await using runtime = await cascading({ minLogprob: always, holdTokens: 8 });
    const { streamed, tokens, result } = await readReply(runtime.generate(asUser(easyPrompt), options));
    expect([streamed, result.text, result.tier]).toEqual([texts.small, texts.small, "small"]);
    expect(tokens).toEqual(result.tokens);
    expect(result.attempts).toHaveLength(1);
    expect(runtime.stats.tiers["large"]?.loads).toBe(0);
  });

  test("streams what comes after the hold as it comes", async () => {
    await using runtime = await cascading({ minLogprob: always, holdTokens: 8 });
    const reply = runtime.generate(asUser(easyPrompt), { maxTokens: 400, ignoreEos: true });
    for await (const { text } of reply) if (text !== "") break;
    expect(await reply.result).toMatchObject({ tier: "small", finishReason: "abort" });
  });

  test("holds each tier to its own threshold, and those without one to none", async () => {
    for (const [minLogprob, tier] of [
      [{ small: never }, "large"],
      [{ small: always, large: never }, "small"],
      [{ large: never }, "small"],
    ] as const) {
      await using runtime = await cascading({ minLogprob });
      expect((await runtime.generate(asUser(easyPrompt), options).result).tier).toBe(tier);
    }
  });

  test("gives log-probabilities to those who ask for them, and to nobody else", async () => {
    await using runtime = await cascading({ minLogprob: always });
    for (const logprobs of [undefined, 2]) {
      const reply = runtime.generate(asUser(easyPrompt), {
        ...options,
        ...(logprobs !== undefined && { logprobs }),
      });
      const chunks: GeneratedChunk[] = [];
      for await (const chunk of reply) chunks.push(chunk);
      const { logprobs: reported } = await reply.result;
      expect(reported?.length).toBe(logprobs === undefined ? undefined : 40);
      for (const chunk of chunks)
        expect(chunk.logprobs?.length).toBe(logprobs === undefined ? undefined : chunk.tokens.length);
    }
  });

  test("hands a document that was cut off to the larger tier", async () => {
    await using runtime = await cascading({ minLogprob: always });
    const schema = {
      type: "object",
      properties: { name: { type: "string", minLength: 60 } },
      required: ["name"],
    };
    const { result, streamed } = await readReply(
      runtime.generate(asUser(easyPrompt), { schema, maxTokens: 5 }),
    );
    expect(result.attempts).toMatchObject([
      { tier: "small", outcome: "rejected", reason: "schema", tokens: 5 },
      { tier: "large", outcome: "answered" },
    ]);
    expect(streamed).toBe(result.text);
    const whole = { type: "object", properties: { ripe: { type: "boolean" } }, required: ["ripe"] };
    const short = await runtime.generate(asUser(easyPrompt), { schema: whole, maxTokens: 64 }).result;
    expect([short.tier, typeof JSON.parse(short.text)]).toEqual(["small", "object"]);
  });

  test("stops at the allowance of escalations", async () => {
    const [small, large] = twoTiers().tiers;
    const tiers = [small, { ...small, name: "middle" }, large] as AirConfig["tiers"];
    const thresholds = [0.3, 0.6];
    for (const maxEscalations of [1, 2]) {
      await using runtime = await createRuntime({
        ...{ tiers, router: { kind: "linear", thresholds }, cascade: { minLogprob: never, maxEscalations } },
      });
      const { attempts } = await runtime.generate(asUser(easyPrompt), options).result;
      expect(attempts.map(({ tier }) => tier)).toEqual(
        ["small", "middle", "large"].slice(0, maxEscalations + 1),
      );
      expect(attempts.map(({ outcome }) => outcome)).toEqual([
        ...Array.from({ length: maxEscalations }, () => "rejected"),
        "answered",
      ]);
    }
  });

  test.each([
    ["the request names its tier", { tier: "small" }, {}],
    ["the request allows no larger tier", { maxTier: "small" }, {}],
    ["the request wants no cascade", { cascade: false }, {}],
    ["there is no time for another attempt", {}, { maxSeconds: 0 }],
  ] as const)("takes the answer as it is when %s", async (_name, hints, limits) => {
    await using runtime = await cascading({ minLogprob: never, ...limits });
    const { text, tier, attempts } = await runtime.generate(asUser(easyPrompt), { ...options, ...hints })
      .result;
    expect([tier, text, attempts.length]).toEqual(["small", texts.small, 1]);
  });

  test("starts no larger tier for a reader who has left", async () => {
    await using runtime = await cascading(
      { minLogprob: never, holdTokens: 1000 },
      twoTiers({ preload: true }),
    );
    const reply = runtime.generate(asUser(easyPrompt), { maxTokens: 300, ignoreEos: true });
    const chunks = reply[Symbol.asyncIterator]();
    const first = chunks.next();
    await until(() => runtime.stats.tiers["small"]?.active === 1);
    await chunks.return?.();
    expect(await reply.result).toMatchObject({ tier: "small", finishReason: "abort" });
    expect(await first).toEqual({ done: true, value: undefined });
    expect(runtime.stats.tiers["large"]?.requests).toBe(0);
    expect(runtime.stats.tiers["small"]?.active).toBe(0);
  });

  test("ends while an answer is held when the signal aborts", async () => {
    await using runtime = await cascading(
      { minLogprob: never, holdTokens: 1000 },
      twoTiers({ preload: true }),
    );
    const abort = new AbortController();
    const reply = runtime.generate(asUser(easyPrompt), {
      maxTokens: 300,
      ignoreEos: true,
      signal: abort.signal,
    });
    await until(() => runtime.stats.tiers["small"]?.active === 1);
    abort.abort();
    await expect(reply.result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    expect(runtime.stats.tiers["large"]?.requests).toBe(0);
  });
});
