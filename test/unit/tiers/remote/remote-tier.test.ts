import { describe, expect, test } from "vitest";
import { z } from "zod";

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
  usage,
} from "../../../support/openai-stub.js";
import { readAll, useStub } from "./tier-under-test.js";

const { stub, makeTier } = useStub();

describe("a remote generation", () => {
  test("streams its text and reports the endpoint's counts", async () => {
    stub().script([
      streamHead,
      delta(""),
      delta("Good "),
      delta("day"),
      finish("length"),
      usage(9, 5, 4),
      done,
      "end",
    ]);
    const { tier } = makeTier();
    const generation = tier.start("Hi", { seed: 11 });
    expect((await readAll(generation)).texts).toEqual(["Good ", "day"]);
    const result = await generation.result;
    expect(result).toMatchObject({
      text: "Good day",
      tokens: [],
      promptTokens: 9,
      reusedTokens: 4,
      finishReason: "length",
      seed: 11,
      remote: { tier: "cloud", attempts: 1, model: "large", isOtherModel: false, completionTokens: 5 },
    });
    expect(result.timings.timeToFirstTokenMs).toBeGreaterThan(0);
    expect(tier.stats()).toMatchObject({
      requests: 1,
      finished: 1,
      attempts: 1,
      promptTokens: 9,
      completionTokens: 5,
    });
  });

  test("hands text on while the answer is still being written", async () => {
    stub().script([streamHead, delta("first"), "hang"]);
    const { tier } = makeTier();
    const reader = tier.start("Hi")[Symbol.asyncIterator]();
    expect(await reader.next()).toEqual({ done: false, value: { text: "first", tokens: [] } });
    await reader.return?.();
  });

  test("sends a string as the message of a user, and temperature 0 where none is given", async () => {
    const { tier } = makeTier();
    await tier.start("Hi").result;
    const [request] = stub().requests;
    expect(request).toMatchObject({ method: "POST", path: "/v1/chat/completions" });
    expect(request?.body).toEqual({
      model: "large",
      messages: [{ role: "user", content: "Hi" }],
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  test("reads the answer of an endpoint that does not stream, asked to or not", async () => {
    const counts = { usage: { prompt_tokens: 3, completion_tokens: 2 } };
    stub().script(documentAnswer("whole", counts), documentAnswer("whole"));
    const { tier } = makeTier();
    expect(await tier.start("Hi").result).toMatchObject({
      text: "whole",
      promptTokens: 3,
      finishReason: "stop",
    });
    const { tier: plain } = makeTier({ stream: false });
    expect((await readAll(plain.start("Hi"))).texts).toEqual(["whole"]);
    expect(stub().requests[1]?.body["stream"]).toBe(false);
    expect(stub().requests[1]?.body).not.toHaveProperty("stream_options");
  });

  test("uses a connection again", async () => {
    const { tier } = makeTier();
    for (let round = 0; round < 3; round += 1) {
      await tier.start("Hi").result;
      await new Promise((resolve) => setTimeout(resolve, 5)); // the HTTP client takes a moment to see that it is idle
    }
    expect(stub().connections).toBe(1);
  });

  test("sends nothing until it is asked", async () => {
    const { tier } = makeTier();
    expect(tier.isReady).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(stub().connections).toBe(0);
  });

  test("notes that another model answered, but not a dated name of the same", async () => {
    const from = (model: string): readonly StubStep[] => [
      streamHead,
      delta("x", model),
      finish("stop", model),
      done,
      "end",
    ];
    stub().script(from("tiny"), from("large-2024-08-06"), from("owner/large"));
    const { tier } = makeTier();
    const others: boolean[] = [];
    for (let round = 0; round < 3; round += 1) {
      const { remote } = await tier.start("Hi").result;
      others.push(remote.isOtherModel);
    }
    expect(others).toEqual([true, false, false]);
    expect(tier.stats().otherModel).toBe(1);
  });

  test("reports log-probabilities by text", async () => {
    const logprobs = {
      content: [{ token: "x", logprob: -0.5, top_logprobs: [{ token: "y", logprob: -1 }] }],
    };
    stub().script([
      streamHead,
      event({ choices: [{ delta: { content: "x" }, logprobs, finish_reason: "stop" }] }),
      done,
      "end",
    ]);
    const { tier } = makeTier();
    const { remote } = await tier.start("Hi", { logprobs: 1 }).result;
    expect(remote.logprobs).toEqual([{ token: "x", logprob: -0.5, top: [{ token: "y", logprob: -1 }] }]);
    expect(stub().requests[0]?.body).toMatchObject({ logprobs: true, top_logprobs: 1 });
  });
});

describe("stop strings", () => {
  test("end the text here even if the endpoint goes on, and no part of one is handed out", async () => {
    stub().script([streamHead, delta("one E"), delta("N"), delta("D two"), "hang"]);
    const { tier } = makeTier();
    const generation = tier.start("Hi", { stop: ["END", "b", "c", "d", "e5"] });
    expect((await readAll(generation)).text).toBe("one ");
    expect(await generation.result).toMatchObject({ finishReason: "stop" });
    expect(stub().requests[0]?.body["stop"]).toEqual(["END", "b", "c", "d"]);
    expect(await stub().requests[0]?.gone).toBe(true);
  });

  test("end the text even where the endpoint says that it was cut for its length", async () => {
    stub().script([
      streamHead,
      event({ choices: [{ delta: { content: "one END" }, finish_reason: "length" }] }),
      done,
      "end",
    ]);
    const { tier } = makeTier();
    const result = await tier.start("Hi", { stop: ["END"] }).result;
    expect(result).toMatchObject({ text: "one ", finishReason: "stop", remote: { finishReason: "length" } });
  });

  test("are handed out where they turn out not to be one", async () => {
    stub().script(answer("E", "N"));
    const { tier } = makeTier();
    expect(await tier.start("Hi", { stop: ["END"] }).result).toMatchObject({
      text: "EN",
      finishReason: "stop",
    });
  });
});

describe("a schema", () => {
  const schema = z.object({ name: z.string() });

  test("is sent as JSON schema, strictly", async () => {
    stub().script(answer('{"name":', '"Ada"}'));
    const { tier } = makeTier();
    await tier.start("Hi", { schema }).result;
    const { body } = stub().requests[0] ?? {};
    expect(body).toMatchObject({
      response_format: {
        type: "json_schema",
        json_schema: { strict: true, schema: { type: "object", required: ["name"] } },
      },
    });
  });

  test("makes prose an error", async () => {
    stub().script(answer("Sure, ", "here"));
    const { tier } = makeTier();
    const { text, error } = await readAll(tier.start("Hi", { schema }));
    expect(text).toBe("Sure, here");
    expect(error).toMatchObject({ code: "AIR_ERR_REMOTE", progress: { partialCharacters: 10, attempts: 1 } });
    expect(stub().requests).toHaveLength(1);
  });
});

describe("ending a generation early", () => {
  test("an abort rejects with AIR_ERR_CANCELLED and the reason, and closes the connection", async () => {
    stub().script([streamHead, delta("a"), "hang"]);
    const { tier } = makeTier();
    const controller = new AbortController();
    const reason = { why: "enough" };
    const generation = tier.start("Hi", { signal: controller.signal });
    await generation[Symbol.asyncIterator]().next();
    controller.abort(reason);
    await expect(generation.result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED", cause: reason });
    expect(await stub().requests[0]?.gone).toBe(true);
    expect(tier.stats()).toMatchObject({ cancelled: 1, failed: 0, breaker: { failures: 0 } });
  });

  test("an abort before the start sends nothing", async () => {
    const { tier } = makeTier();
    const { result } = tier.start("Hi", { signal: AbortSignal.abort("late") });
    await expect(result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED", cause: "late" });
    expect(stub().connections).toBe(0);
  });

  test("an abort ends the pause before a retry", async () => {
    stub().always(refusal(500));
    const controller = new AbortController();
    const { tier } = makeTier(
      {},
      {
        sleep: (_, signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener("abort", () => {
              reject(new Error("aborted"));
            });
            controller.abort();
          }),
      },
    );
    const { result } = tier.start("Hi", { signal: controller.signal });
    await expect(result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    expect(stub().requests).toHaveLength(1);
  });

  test("leaving the loop resolves with abort and closes the connection", async () => {
    stub().script([streamHead, delta("a"), delta("b"), "hang"]);
    const { tier } = makeTier();
    const generation = tier.start("Hi");
    for await (const { text } of generation) if (text === "b") break;
    expect(await generation.result).toMatchObject({ text: "ab", finishReason: "abort" });
    expect(await stub().requests[0]?.gone).toBe(true);
    expect(tier.stats()).toMatchObject({ cancelled: 1, finished: 0, breaker: { failures: 0 } });
  });

  test("close() rejects what runs with AIR_ERR_CLOSED, and what comes", async () => {
    stub().script([streamHead, delta("a"), "hang"]);
    const { tier } = makeTier();
    const { result } = tier.start("Hi");
    tier.close();
    tier.close();
    await expect(result).rejects.toMatchObject({ code: "AIR_ERR_CLOSED" });
    expect(tier.isReady).toBe(false);
    expect(() => tier.start("Hi")).toThrow(expect.objectContaining({ code: "AIR_ERR_CLOSED" }));
    await expect(tier.probe()).rejects.toMatchObject({ code: "AIR_ERR_CLOSED" });
  });

  test("no listener stays on the signal", async () => {
    const { tier } = makeTier();
    const { signal } = new AbortController();
    const listeners = new Set<unknown>();
    signal.addEventListener = (_: string, listener: unknown) => void listeners.add(listener);
    signal.removeEventListener = (_: string, listener: unknown) => void listeners.delete(listener);
    const { result } = tier.start("Hi", { signal });
    expect(listeners.size).toBe(1);
    await result;
    expect(listeners.size).toBe(0);
  });
});

describe("probe()", () => {
  test("is content with a list that holds the model", async () => {
    const { tier } = makeTier();
    await tier.probe();
    expect(stub().requests[0]).toMatchObject({ method: "GET", path: "/v1/models" });
  });

  test("rejects when the model is not in the list, or there is no list", async () => {
    stub().serveModels("tiny", "small");
    const { tier } = makeTier();
    await expect(tier.probe()).rejects.toMatchObject({
      code: "AIR_ERR_REMOTE",
      message: expect.stringContaining("2 others"),
    });
    stub().scriptModels([{ head: 200, headers: { "content-type": "text/html" } }, { send: "<p>" }, "end"]);
    await expect(tier.probe()).rejects.toMatchObject({ message: expect.stringContaining("no list") });
  });

  test("rejects in time, and when it is aborted", async () => {
    stub().scriptModels(["hang"]);
    const { tier } = makeTier({ timeoutMs: 50 });
    await expect(tier.probe()).rejects.toMatchObject({ code: "AIR_ERR_TIMEOUT" });
    await expect(tier.probe(AbortSignal.abort("no"))).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
  });
});
