import { afterEach, beforeEach, describe, expect, test } from "vitest";

import type { AirRuntime } from "../../lib/tiers/air-runtime.js";
import type { AirConfig } from "../../lib/tiers/config.js";
import { answer, delta, OpenAiStub, refusal, streamHead } from "../support/openai-stub.js";
import {
  asUser,
  createRuntime,
  easyPrompt,
  hardPrompt,
  plainText,
  readReply,
  smallFile,
  twoTiers,
  until,
} from "../support/tier-runtime.js";

const options = { maxTokens: 12 };

describe("a runtime with a remote tier", () => {
  let stub: OpenAiStub;

  beforeEach(async () => {
    stub = await OpenAiStub.start();
  });
  afterEach(() => stub.close());

  /** A small model here and a large one there. */
  function withCloud(more: object = {}, rest: Partial<AirConfig> = {}): Promise<AirRuntime> {
    const [small] = twoTiers({ preload: true }).tiers;
    const cloud = { name: "cloud", url: stub.url, model: "large", retries: 0, ...more };
    return createRuntime({ tiers: [small, cloud] as AirConfig["tiers"], ...rest });
  }

  test("sends hard prompts there and easy ones not", async () => {
    await using runtime = await withCloud();
    const hard = await readReply(runtime.generate(asUser(hardPrompt), options));
    expect(hard.streamed).toBe("Hello, world");
    expect(hard.result).toMatchObject({
      ...{ tier: "cloud", text: "Hello, world", promptTokens: 7, decision: { reason: "score" } },
      attempts: [{ tier: "cloud", outcome: "answered" }],
    });
    expect(stub.requests).toHaveLength(1);
    expect(stub.requests[0]?.body).toMatchObject({ max_tokens: 12, messages: asUser(hardPrompt) });
    expect((await runtime.generate(asUser(easyPrompt), options).result).tier).toBe("small");
    expect(stub.requests).toHaveLength(1);
    expect(runtime.stats.tiers["cloud"]).toMatchObject({ requests: 1, answered: 1, failures: 0, active: 0 });
  });

  test("keeps what may not leave the machine", async () => {
    await using runtime = await withCloud({}, { cascade: { minLogprob: 0 } });
    for (const prompt of [easyPrompt, hardPrompt, "hard ".repeat(500)]) {
      const reply = runtime.generate(asUser(prompt), { ...options, localOnly: true });
      await reply.result.catch(() => undefined);
    }
    const { tier, decision } = await runtime.generate(asUser(hardPrompt), { ...options, localOnly: true })
      .result;
    expect([tier, decision.reason]).toEqual(["small", "local-only"]);
    await expect(
      runtime.generate(asUser(hardPrompt), { tier: "cloud", localOnly: true }).result,
    ).rejects.toMatchObject({ code: "AIR_ERR_NO_TIER" });
    expect([stub.requests.length, stub.connections]).toEqual([0, 0]);
  });

  test.each([
    ["refuses", refusal(500)],
    ["refuses the key", refusal(401, { error: { message: "no key" } })],
    ["hangs up", ["cut"]],
    ["hangs up before any text", [streamHead, "cut"]],
  ] as const)("answers here when the endpoint %s", async (_name, behaviour) => {
    await using runtime = await withCloud();
    stub.always(behaviour);
    const { streamed, result } = await readReply(runtime.generate(asUser(hardPrompt), options));
    expect(streamed).toBe(await plainText(smallFile, hardPrompt, options));
    expect(result).toMatchObject({
      ...{ tier: "small", text: streamed, decision: { reason: "unavailable", wanted: 1 } },
      attempts: [
        { tier: "cloud", outcome: "failed", reason: "AIR_ERR_REMOTE" },
        { tier: "small", outcome: "answered" },
      ],
    });
    expect(runtime.stats).toMatchObject({ fallbacks: 1, tiers: { cloud: { failures: 1, active: 0 } } });
  });

  test("answers here when the endpoint takes too long to begin", async () => {
    await using runtime = await withCloud({ timeoutMs: 60 });
    stub.always(["hang"]);
    const { tier, attempts } = await runtime.generate(asUser(hardPrompt), options).result;
    expect([tier, attempts[0]?.reason]).toEqual(["small", "AIR_ERR_TIMEOUT"]);
  });

  test("leaves the tier that takes over what is left of the time", async () => {
    const [small, large] = twoTiers({ preload: true }).tiers;
    const cloud = { name: "cloud", url: stub.url, model: "large", retries: 0 };
    await using runtime = await createRuntime({
      tiers: [small, large, cloud] as AirConfig["tiers"],
      router: { kind: "linear", thresholds: [0.3, 0.6] },
    });
    stub.script([{ wait: 350 }, ...refusal(500)], refusal(500));
    const decided = async (): Promise<unknown> =>
      (await runtime.generate(asUser(hardPrompt), { maxTokens: 2, deadlineMs: 300 }).result).decision;
    expect(await decided()).toMatchObject({ reason: "deadline" });
    expect(await decided()).toMatchObject({ name: "large", reason: "unavailable" });
  });

  test("does not answer a second time when the stream is cut midway", async () => {
    await using runtime = await withCloud({ retries: 3 });
    stub.always([streamHead, delta("The ans"), "cut"]);
    const reply = runtime.generate(asUser(hardPrompt), options);
    let text = "";
    const reading = (async () => {
      for await (const chunk of reply) text += chunk.text;
    })();
    await expect(reading).rejects.toMatchObject({ code: "AIR_ERR_REMOTE" });
    expect([text, stub.requests.length]).toEqual(["The ans", 1]);
    expect(runtime.stats.tiers["small"]?.requests).toBe(0);
    expect(runtime.stats).toMatchObject({ answered: 0, failed: 1, fallbacks: 0 });
  });

  test("fails with the endpoint's failure when the request names it", async () => {
    await using runtime = await withCloud();
    stub.always(refusal(500));
    const reply = runtime.generate(asUser(hardPrompt), { ...options, tier: "cloud" });
    await expect(reply.result).rejects.toMatchObject({ code: "AIR_ERR_REMOTE" });
  });

  test("asks no endpoint whose breaker is open", async () => {
    await using runtime = await withCloud({ breaker: { failures: 2 } });
    stub.always(refusal(500));
    for (let request = 0; request < 5; request += 1) {
      expect((await runtime.generate(asUser(hardPrompt), options).result).tier).toBe("small");
    }
    expect(stub.requests).toHaveLength(2);
    expect(runtime.stats.tiers["cloud"]?.isLoaded).toBe(false);
  });

  test("hands over what the local tier is not sure of", async () => {
    await using runtime = await withCloud({}, { cascade: { minLogprob: 0 } });
    const { streamed, result } = await readReply(runtime.generate(asUser(easyPrompt), options));
    expect([streamed, result.tier]).toEqual(["Hello, world", "cloud"]);
    expect(result.attempts).toMatchObject([{ tier: "small", reason: "confidence" }, { tier: "cloud" }]);
  });

  test("closes the connection when the reader leaves, the signal aborts, or the runtime is closed", async () => {
    const runtime = await withCloud();
    stub.always([streamHead, delta("One, "), delta("two, "), "hang"]);
    const left = runtime.generate(asUser(hardPrompt), options);
    for await (const { text } of left) if (text !== "") break;
    expect(await left.result).toMatchObject({ finishReason: "abort", tier: "cloud" });
    const abort = new AbortController();
    const aborted = runtime.generate(asUser(hardPrompt), { ...options, signal: abort.signal });
    await until(() => stub.requests.length === 2);
    abort.abort();
    await expect(aborted.result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    const open = runtime.generate(asUser(hardPrompt), options);
    await until(() => stub.requests.length === 3);
    await runtime.close();
    await expect(open.result).rejects.toMatchObject({ code: "AIR_ERR_CLOSED" });
    expect(await Promise.all(stub.requests.map(({ gone }) => gone))).toEqual([true, true, true]);
  });

  test("is the only one that is asked of several, each once", async () => {
    await using runtime = await withCloud();
    stub.always(answer("Yes"));
    const replies = Array.from({ length: 10 }, () => runtime.generate(asUser(hardPrompt), options).result);
    expect((await Promise.all(replies)).map(({ text }) => text)).toEqual(
      Array.from({ length: 10 }, () => "Yes"),
    );
    expect(stub.requests).toHaveLength(10);
  });
});
