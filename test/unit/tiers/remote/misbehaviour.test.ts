import { describe, expect, test } from "vitest";

import type { RemoteTierOptions } from "../../../../lib/tiers/remote/remote-options.js";
import {
  answer,
  delta,
  documentAnswer,
  done,
  event,
  finish,
  refusal,
  streamHead,
  type StubStep,
} from "../../../support/openai-stub.js";
import { readAll, useStub } from "./tier-under-test.js";

const { stub, makeTier } = useStub();
const whole = "Hello, world";
const text = (content: string): StubStep => ({ send: content });
const html: StubStep = { head: 200, headers: { "content-type": "text/html; charset=utf-8" } };

/** One that fails before there is text, so that it is sent again and the reader notices nothing. */
const early: readonly (readonly [string, readonly StubStep[]])[] = [
  ["a connection cut before the head", ["cut"]],
  ["a connection cut after the head", [streamHead, "cut"]],
  [
    "a stream cut after the role",
    [streamHead, event({ choices: [{ delta: { role: "assistant" } }] }), "cut"],
  ],
  ["a stream cut in the middle of the first event", [streamHead, text('data: {"choices":[{"del'), "cut"]],
  [
    "a stream that ends in the middle of the first event",
    [streamHead, text('data: {"choices":[{"del'), "end"],
  ],
  ["a stream cut in a character", [streamHead, { send: Uint8Array.of(0x64, 0x61, 0xf0, 0x9f) }, "cut"]],
  ["a stream of nothing", [streamHead, "end"]],
  ["[DONE] and nothing else", [streamHead, done, "end"]],
  ["[DONE] and nothing else, left open", [streamHead, done, "hang"]],
  ["invalid JSON", [streamHead, text("data: {]\n\n"), "hang"]],
  ["JSON of another kind", [streamHead, text("data: [1, 2]\n\n"), "hang"]],
  ["text of another kind", [streamHead, event({ choices: [{ delta: { content: 3 } }] }), "hang"]],
  [
    "choices that are always empty",
    [streamHead, event({ choices: [] }), event({ choices: [] }), done, "end"],
  ],
  ["an error in the stream", [streamHead, event({ error: { message: "out of memory", code: 500 } }), "end"]],
  ["an answer that was given up", [streamHead, finish("abort"), done, "end"]],
  ["a page", [html, text("<html>Log in"), "end"]],
  [
    "a document that is no answer",
    [{ head: 200, headers: { "content-type": "application/json" } }, text("{]"), "end"],
  ],
  ["a document without choices", documentAnswer("", { choices: [] })],
  ["HTTP 429", refusal(429)],
  ["HTTP 408", refusal(408)],
  ["HTTP 500", refusal(500)],
  ["HTTP 503 with a page", [{ head: 503, headers: { "content-type": "text/html" } }, text("<html>"), "end"]],
  ["HTTP 502 whose body is cut", [{ head: 502 }, text("bad"), "cut"]],
];

describe("an endpoint that fails before there is text", () => {
  test.each(early)("%s: sent again, and read once", async (_, behaviour) => {
    stub().script(behaviour);
    const { tier } = makeTier();
    const generation = tier.start("Hi");
    expect(await readAll(generation)).toEqual({
      texts: ["Hello", ", ", "world"],
      text: whole,
      error: undefined,
    });
    expect(await generation.result).toMatchObject({ text: whole, remote: { attempts: 2 } });
    expect(stub().requests).toHaveLength(2);
    expect(stub().requests[1]?.body).toEqual(stub().requests[0]?.body);
  });

  test.each(early)("%s, for ever: AIR_ERR_REMOTE after the retries", async (_, behaviour) => {
    stub().always(behaviour);
    const { tier, pauses } = makeTier({ retries: 1 });
    const { texts, error } = await readAll(tier.start("Hi"));
    expect(texts).toEqual([]);
    expect(error).toMatchObject({
      code: "AIR_ERR_REMOTE",
      mayFallBack: true,
      progress: { attempts: 2, partialCharacters: 0 },
      message: expect.stringContaining('the remote tier "cloud"'),
    });
    expect(stub().requests).toHaveLength(2);
    expect(pauses).toEqual([125]);
  });

  test("a host that is not there is tried again too", async () => {
    const { url } = stub();
    await stub().close();
    const { tier, pauses } = makeTier({ url });
    await expect(tier.start("Hi").result).rejects.toMatchObject({
      code: "AIR_ERR_REMOTE",
      message: expect.stringContaining("ECONNREFUSED"),
    });
    expect(pauses).toEqual([125, 250]);
  });
});

describe("a network that fails", () => {
  test.each([
    ["ENOTFOUND", "AIR_ERR_REMOTE"],
    ["ENETUNREACH", "AIR_ERR_REMOTE"],
    ["ETIMEDOUT", "AIR_ERR_TIMEOUT"],
    ["UND_ERR_CONNECT_TIMEOUT", "AIR_ERR_TIMEOUT"],
  ])("with %s is %s after the retries", async (networkCode, code) => {
    const cause = Object.assign(new Error("network"), { code: networkCode });
    const fetch = () => Promise.reject(new TypeError("fetch failed", { cause }));
    const { tier, pauses } = makeTier({}, { fetch });
    await expect(tier.start("Hi").result).rejects.toMatchObject({
      code,
      mayFallBack: true,
      message: expect.stringContaining(networkCode),
      cause: { cause },
    });
    expect(pauses).toHaveLength(2);
  });
});

describe("an endpoint that fails after there was text", () => {
  test.each<readonly [string, readonly StubStep[]]>([
    ["is cut", ["cut"]],
    ["ends", ["end"]],
    ["sends invalid JSON", [text("data: {\n\n"), "hang"]],
    ["reports an error", [event({ error: { message: "no" } }), "hang"]],
    ["falls silent", ["hang"]],
    [
      "sends nothing but comments",
      Array.from({ length: 30 }, () => [text(": alive\n\n"), { wait: 10 }]).flat(),
    ],
  ])("a stream that %s is an error, and never sent again", async (_, steps) => {
    stub().always([streamHead, delta("Hel"), delta("lo"), ...steps]);
    const { tier } = makeTier({ idleTimeoutMs: 100 });
    const { texts, error } = await readAll(tier.start("Hi"));
    expect(texts).toEqual(["Hel", "lo"]);
    expect(error).toMatchObject({
      code: expect.stringMatching(/^AIR_ERR_(REMOTE|TIMEOUT)$/),
      mayFallBack: false,
      progress: { attempts: 1, partialCharacters: 5 },
      message: expect.stringContaining("after 5 characters"),
    });
    expect(stub().requests).toHaveLength(1);
    expect(await stub().requests[0]?.gone).toBe(!["ends"].includes(_));
    expect(tier.stats()).toMatchObject({ failed: 1, failedMidway: 1 });
  });

  test("silence is measured between events", async () => {
    const pause: StubStep = { wait: 60 };
    stub().always([streamHead, ...Array.from({ length: 4 }, () => [delta("a"), pause]).flat(), "hang"]);
    const { tier } = makeTier({ timeoutMs: 100, idleTimeoutMs: 150 });
    const { text: read, error } = await readAll(tier.start("Hi"));
    expect(read).toBe("aaaa");
    expect(error).toMatchObject({
      code: "AIR_ERR_TIMEOUT",
      message: expect.stringContaining("nothing within 150 ms"),
    });
  });

  test("text that was held back for a stop string was not handed out: sent again", async () => {
    stub().script([streamHead, delta("EN"), "cut"]);
    const { tier } = makeTier();
    const { text: read } = await readAll(tier.start("Hi", { stop: ["END"] }));
    expect(read).toBe(whole);
  });
});

describe("an endpoint that is slow", () => {
  test.each<readonly [string, readonly StubStep[]]>([
    ["accepts and says nothing", ["hang"]],
    ["sends the head only", [streamHead, "hang"]],
    [
      "sends comments only",
      [streamHead, ...Array.from({ length: 40 }, () => [text(": wait\n"), { wait: 10 }]).flat()],
    ],
  ])("one that %s is AIR_ERR_TIMEOUT in time, retries included", async (_, behaviour) => {
    stub().always(behaviour);
    const { tier } = makeTier({ timeoutMs: 150 });
    const startedAt = performance.now();
    await expect(tier.start("Hi").result).rejects.toMatchObject({
      code: "AIR_ERR_TIMEOUT",
      mayFallBack: true,
      message: expect.stringContaining("nothing within 150 ms"),
    });
    expect(performance.now() - startedAt).toBeGreaterThan(140);
    expect(performance.now() - startedAt).toBeLessThan(1000);
    expect(stub().requests).toHaveLength(1);
    expect(await stub().requests[0]?.gone).toBe(true);
  });

  test("pauses that are shorter than the limits do no harm", async () => {
    const pause: StubStep = { wait: 60 };
    stub().script([
      pause,
      streamHead,
      pause,
      text(": wait\n\n"),
      delta("a"),
      pause,
      delta("b"),
      pause,
      finish(),
      "end",
    ]);
    const { tier } = makeTier({ timeoutMs: 2000, idleTimeoutMs: 1000 });
    expect(await tier.start("Hi").result).toMatchObject({ text: "ab", remote: { attempts: 1 } });
  });

  test("silence after an event without text is sent again while there is time", async () => {
    stub().script([streamHead, event({ choices: [{ delta: { role: "assistant" } }] }), "hang"]);
    const { tier } = makeTier({ timeoutMs: 2000, idleTimeoutMs: 50 });
    expect(await tier.start("Hi").result).toMatchObject({ text: whole, remote: { attempts: 2 } });
  });

  test("a refusal whose text never comes does not hold up the retry", async () => {
    stub().script([{ head: 503 }, text("{"), "hang"]);
    const { tier } = makeTier();
    expect(await tier.start("Hi").result).toMatchObject({ text: whole, remote: { attempts: 2 } });
  });
});

describe("an endpoint that refuses", () => {
  const notFound = { error: { message: "The model does not exist", code: "model_not_found" } };

  test.each([
    [404, notFound, "HTTP 404 (model_not_found)"],
    [
      400,
      { object: "error", message: "too long", type: "BadRequestError", code: 400 },
      "HTTP 400 (BadRequestError)",
    ],
    [401, { error: { code: "invalid_api_key" } }, "HTTP 401 (invalid_api_key)"],
    [422, ["no"], "HTTP 422"],
  ])("HTTP %i is an error at once", async (status, body, received) => {
    stub().always(refusal(status, body));
    const { tier } = makeTier();
    await expect(tier.start("Hi").result).rejects.toMatchObject({
      code: "AIR_ERR_REMOTE",
      failure: { status, isRetryable: false },
      message: `expected an answer of the model "large" for the remote tier "cloud" but received ${received}`,
    });
    expect(stub().requests).toHaveLength(1);
  });

  test.each([301, 307, 308])("HTTP %i is not followed", async (status) => {
    stub().always(refusal(status, {}, { location: `${stub().url}/models` }));
    const { tier } = makeTier();
    await expect(tier.start("Hi").result).rejects.toMatchObject({
      message: expect.stringContaining(
        `without a redirect for the remote tier "cloud" but received HTTP ${status}`,
      ),
    });
    expect(stub().requests).toHaveLength(1);
  });

  test.each<readonly [string, Partial<RemoteTierOptions>, readonly number[]]>([
    ["2", {}, [2125]],
    ["6", {}, []],
    ["6", { retryAfterLimitMs: 6000 }, [6125]],
    ["6", { retryAfterLimitMs: 6000, timeoutMs: 6000 }, []],
    ["nonsense", {}, [125]],
  ])("Retry-After: %s with %j makes for pauses of %j ms", async (header, options, expected) => {
    stub().script(refusal(429, {}, { "retry-after": header }));
    const { tier, pauses } = makeTier(options);
    const { text: read, error } = await readAll(tier.start("Hi"));
    expect(pauses).toEqual(expected);
    expect(read).toBe(expected.length === 0 ? "" : whole);
    if (expected.length === 0)
      expect(error).toMatchObject({ message: expect.stringContaining("come back in 6 s") });
  });
});

describe("many generations at once", () => {
  test("none is lost or read twice, whatever the endpoint does", async () => {
    const behaviours = early.map(([, behaviour]) => behaviour);
    for (let round = 0; round < 3; round += 1) {
      for (const behaviour of behaviours) stub().script(behaviour, answer("Hello", ", ", "world"));
    }
    const { tier } = makeTier({ retries: 10, breaker: { failures: 1000 } });
    const reads = await Promise.all(Array.from({ length: 40 }, () => readAll(tier.start("Hi"))));
    expect(new Set(reads.map(({ text: read, error }) => `${read} ${String(error)}`))).toEqual(
      new Set([`${whole} undefined`]),
    );
    expect(tier.stats()).toMatchObject({
      requests: 40,
      finished: 40,
      failed: 0,
      attempts: stub().requests.length,
    });
  });
});
