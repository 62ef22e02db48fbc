import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { AirCapacityError, AirError } from "../../../lib/errors/air-error.js";
import { type AirServer, createServer } from "../../../lib/server/server.js";
import { FakeRuntime, hang } from "../../support/fake-runtime.js";

let runtime: FakeRuntime;
let server: AirServer;

beforeEach(() => {
  runtime = new FakeRuntime();
  server = createServer(runtime);
});
afterEach(() => server.close());

const messages = [{ role: "user", content: "hi" }];

async function post(url: string, payload: object | string) {
  const headers = { "content-type": "application/json" };
  const response = await server.inject({ method: "POST", url, payload, headers });
  return { status: response.statusCode, headers: response.headers, text: response.body };
}

async function chat(body: object) {
  const { status, text, headers } = await post("/v1/chat/completions", { messages, ...body });
  return { status, headers, json: JSON.parse(text) as Event };
}

interface Event {
  readonly [name: string]: unknown;
  readonly choices: readonly {
    readonly index: number;
    readonly text?: string;
    readonly delta?: { readonly content?: string };
  }[];
}

/** The events of a stream; the last one is checked and left out. */
async function events(url: string, body: object): Promise<Event[]> {
  const { status, headers, text } = await post(url, { stream: true, ...body });
  expect(status, text).toBe(200);
  expect(headers["content-type"]).toContain("text/event-stream");
  const lines = text.split("\n\n");
  expect(lines.pop()).toBe("");
  expect(lines.pop()).toBe("data: [DONE]");
  return lines.map((line) => JSON.parse(line.slice("data: ".length)) as Event);
}

const lamp = {
  type: "function",
  function: { name: "lamp", parameters: { type: "object", properties: { on: { type: "boolean" } } } },
};
const call = '{"name":"lamp","arguments":{"on":true}}';

describe("POST /v1/chat/completions", () => {
  test("answers with a chat completion, its usage and who answered why", async () => {
    const { status, json } = await chat({ model: "auto" });
    expect(status).toBe(200);
    expect(json).toMatchObject({
      object: "chat.completion",
      model: "small",
      system_fingerprint: "fp_0123456789ab",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "hello world", refusal: null },
          logprobs: null,
          finish_reason: "stop",
        },
      ],
      usage: {
        ...{ prompt_tokens: 7, completion_tokens: 11, total_tokens: 18 },
        prompt_tokens_details: { cached_tokens: 2 },
      },
      air: { tier: "small", score: 0.1, reason: "score", cache: { prompt_tokens: 7, reused_tokens: 2 } },
    });
    expect(json["id"]).toMatch(/^chatcmpl-[0-9a-f]{32}$/);
  });

  test("hands the runtime what was asked, and nothing that was not", async () => {
    await chat({});
    expect(Object.keys(runtime.requests[0]?.options ?? {}).sort()).toEqual([
      "maxTokens",
      "priority",
      "signal",
      "user",
    ]);
    await chat({
      ...{ model: "large", temperature: 0.5, top_p: 0.9, top_k: 3, min_p: 0.1, repetition_penalty: 1.1 },
      ...{ presence_penalty: -1, frequency_penalty: 1, seed: 9, stop: "x", logit_bias: { 5: -100 } },
      ...{ max_completion_tokens: 3, max_tokens: 9, user: "ignored", store: true, metadata: null },
      air: { min_tier: "small", max_tier: "large", deadline_ms: 50, local_only: true, cascade: false },
    });
    expect(runtime.requests[1]?.options).toMatchObject({
      ...{ tier: "large", temperature: 0.5, topP: 0.9, topK: 3, minP: 0.1, repetitionPenalty: 1.1 },
      ...{ presencePenalty: -1, frequencyPenalty: 1, seed: 9, stop: ["x"], logitBias: { 5: -100 } },
      ...{
        maxTokens: 3,
        minTier: "small",
        maxTier: "large",
        deadlineMs: 50,
        localOnly: true,
        cascade: false,
      },
    });
  });

  test("hands on who asks, how urgent it is, and how long it may take", async () => {
    await chat({ user: "ann", air: { priority: -5, timeout_ms: 700 } });
    expect(runtime.requests[0]?.options).toMatchObject({ user: "ann", priority: -5, timeoutMs: 700 });
    await chat({});
    expect(runtime.requests[1]?.options).toMatchObject({ user: "127.0.0.1", priority: 0 });
    const { status, json } = await chat({ air: { priority: 1 } });
    expect(status).toBe(400);
    expect(json).toMatchObject({
      error: { param: "air.priority", message: expect.stringContaining("at most 0") },
    });
  });

  test("takes null for what was not said", async () => {
    const { status } = await chat({ stop: null, seed: null, tools: null, n: null, stream: null, air: null });
    expect(status).toBe(200);
  });

  test("makes system messages of the developer's, and one text of the parts of a message", async () => {
    const parts = ["a", "b"].map((text) => ({ type: "text", text }));
    await chat({
      messages: [
        { role: "developer", content: "d" },
        { role: "user", content: parts },
      ],
    });
    expect(runtime.requests[0]?.input).toEqual([
      { role: "system", content: "d" },
      { role: "user", content: "ab" },
    ]);
  });

  test("streams the role, pieces, the reason for the end with air, and the usage where it is wanted", async () => {
    const chunks = await events("/v1/chat/completions", {
      messages,
      stream_options: { include_usage: true },
    });
    expect(chunks.map((chunk) => chunk.choices[0]?.delta)).toEqual([
      { role: "assistant", content: "", refusal: null },
      { content: "hello" },
      { content: " world" },
      {},
      undefined,
    ]);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(chunks.slice(0, 4).every(({ usage }) => usage === null)).toBe(true);
    expect(chunks[3]).toMatchObject({ choices: [{ finish_reason: "stop" }], air: { tier: "small" } });
    expect(chunks[4]).toMatchObject({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 11 } });
    const plain = await events("/v1/chat/completions", { messages });
    expect(plain).toHaveLength(4);
    expect(plain.some((chunk) => "usage" in chunk)).toBe(false);
  });

  test("says which tokens were guessed, and first who answers why, where it is wanted", async () => {
    runtime.script = [["ab", { guessed: "cd" }, "e"]];
    const air = { live: true };
    const chunks = await events("/v1/chat/completions", { messages, air });
    expect(chunks.map((chunk) => (chunk["air"] as { drafted?: unknown } | undefined)?.drafted)).toEqual([
      undefined,
      ...[[false, false], [true, true], [false]],
      undefined,
    ]);
    const detail = "Score 0.10 asks for small.";
    expect(chunks[1]?.["air"]).toMatchObject({ tier: "small", score: 0.1, reason: "score", detail });
    expect(chunks[2]?.["air"]).toEqual({ drafted: [true, true] });
    expect(chunks.at(-1)?.["air"]).toHaveProperty("timings");
    const plain = await events("/v1/chat/completions", { messages });
    expect(plain.filter((chunk) => "air" in chunk)).toHaveLength(1);
  });

  test("says so of text that was held back when it comes, by answer", async () => {
    runtime.script = [[{ guessed: "<tool_" }, "no call"], [{ guessed: "<tool" }]];
    const chunks = await events("/v1/chat/completions", {
      ...{ messages, tools: [lamp], n: 2, air: { live: true } },
    });
    const of = (wanted: number) =>
      chunks
        .filter(({ choices }) => choices[0]?.index === wanted)
        .map(({ choices, air }) => [
          choices[0]?.delta?.content,
          (air as { drafted?: boolean[] } | undefined)?.drafted,
        ]);
    expect(of(0)).toEqual([
      ["", undefined],
      ["<tool_no call", [...Array<boolean>(6).fill(true), ...Array<boolean>(7).fill(false)]],
      [undefined, undefined],
    ]);
    expect(of(1)).toEqual([
      ["", undefined],
      ["<tool", Array<boolean>(5).fill(true)],
      [undefined, undefined],
    ]);
  });

  test("gives n answers, each with another seed, whole and streamed", async () => {
    runtime.script = [["a"], ["b"], ["c"], ["d"]];
    const { json } = await chat({ n: 2, seed: -1 });
    expect(json).toMatchObject({
      choices: [
        { index: 0, message: { content: "a" } },
        { index: 1, message: { content: "b" } },
      ],
      usage: { prompt_tokens: 7, completion_tokens: 2 },
    });
    const [first, second] = runtime.requests.map(({ options }) => options.seed);
    expect(first).toBeGreaterThanOrEqual(0);
    expect(second).toBeGreaterThanOrEqual(0);
    expect(second).not.toBe(first);
    const chunks = await events("/v1/chat/completions", { messages, n: 2 });
    const texts = ["", ""];
    for (const { choices } of chunks)
      for (const { index, delta } of choices) texts[index] = (texts[index] ?? "") + (delta?.content ?? "");
    expect(texts).toEqual(["c", "d"]);
  });

  test("reports log-probabilities; minus infinity is a number that JSON has", async () => {
    runtime.script = [["ab"]];
    const { json } = await chat({ logprobs: true, top_logprobs: 2 });
    const content = [
      {
        ...{ token: "a", logprob: -0.5, bytes: [97] },
        top_logprobs: [
          { token: "a", logprob: -0.5, bytes: [97] },
          { token: "b", logprob: -9999, bytes: [98] },
        ],
      },
      { token: "b", logprob: -0.5 },
    ];
    expect(json).toMatchObject({ choices: [{ logprobs: { content, refusal: null } }] });
    const chunks = await events("/v1/chat/completions", { messages, logprobs: true, top_logprobs: 2 });
    expect(chunks[1]).toMatchObject({ choices: [{ delta: { content: "ab" }, logprobs: { content } }] });
  });

  test("makes a schema of the response format", async () => {
    const schema = { type: "object", properties: { a: { type: "string" } } };
    await chat({ response_format: { type: "json_schema", json_schema: { name: "x", schema } } });
    await chat({ response_format: { type: "json_object" } });
    await chat({ response_format: { type: "text" } });
    expect(runtime.requests.map(({ options }) => options.schema)).toEqual([
      schema,
      { type: "object" },
      undefined,
    ]);
  });

  test("tells a failure before the first text by its status, and one after it by an event", async () => {
    runtime.script = [[new AirCapacityError("AIR_ERR_OVERLOADED", "full")]];
    const { status, headers, json } = await chat({ stream: true });
    expect(status).toBe(503);
    expect(Number(headers["retry-after"])).toBeGreaterThanOrEqual(1);
    expect(json).toMatchObject({
      error: {
        type: "overloaded_error",
        code: "model_busy",
        message: expect.stringContaining("busy"),
        param: null,
      },
    });
    runtime.script = [["a", new AirError("AIR_ERR_IO", "expected /secret/path")]];
    const { text } = await post("/v1/chat/completions", { messages, stream: true });
    const last = text.trim().split("\n\n").at(-1) ?? "";
    expect(JSON.parse(last.slice(6))).toMatchObject({ error: { type: "server_error", code: "io_error" } });
    expect(text).not.toContain("secret");
    expect(text).not.toContain("[DONE]");
  });

  test("ends the other answers when one fails", async () => {
    runtime.script = [[new AirError("AIR_ERR_IO", "x")], [hang]];
    expect((await chat({ n: 2 })).status).toBe(500);
    expect(await runtime.requests[1]?.cancelled).toBe(true);
  });

  test("does not know other models", async () => {
    const { status, json } = await chat({ model: "gpt-4o" });
    expect(status).toBe(404);
    expect(json).toMatchObject({ error: { code: "model_not_found", param: "model" } });
  });
});

describe("tools", () => {
  test("are handed to the runtime; a call in the answer becomes one, whole and streamed", async () => {
    const text = `<tool_call>\n${call}\n</tool_call>`;
    runtime.script = [["Let me see. ", text.slice(0, 5), text.slice(5)]];
    const { json } = await chat({ tools: [lamp] });
    expect(runtime.requests[0]?.options.tools).toMatchObject([lamp]);
    expect(runtime.requests[0]?.options.schema).toBeUndefined();
    const toolCall = { type: "function", function: { name: "lamp", arguments: '{"on":true}' } };
    expect(json).toMatchObject({
      choices: [{ message: { content: "Let me see.", tool_calls: [toolCall] }, finish_reason: "tool_calls" }],
    });
    const chunks = await events("/v1/chat/completions", { messages, tools: [lamp] });
    expect(JSON.stringify(chunks)).not.toContain("<tool");
    expect(chunks.at(-2)).toMatchObject({
      choices: [{ delta: { tool_calls: [{ index: 0, ...toolCall }] } }],
    });
    expect(chunks.at(-1)).toMatchObject({ choices: [{ finish_reason: "tool_calls" }] });
  });

  test("have to be called where the request says so: a schema makes sure", async () => {
    runtime.script = [[call]];
    for (const tool_choice of ["required", { type: "function", function: { name: "lamp" } }]) {
      const { json } = await chat({ tools: [lamp], tool_choice });
      expect(json).toMatchObject({ choices: [{ message: { content: null }, finish_reason: "tool_calls" }] });
    }
    for (const { options } of runtime.requests)
      expect(options.schema).toMatchObject({ anyOf: [{ properties: { name: { const: "lamp" } } }] });
  });

  test("move the references of their parameters to where these are", async () => {
    const $defs = { r: { enum: ["hall"] } };
    const parameters = { type: "object", properties: { room: { $ref: "#/$defs/r" } }, $defs };
    const tool = { type: "function", function: { name: "lamp", parameters } };
    await chat({ tools: [lamp, tool], tool_choice: "required" });
    expect(JSON.stringify(runtime.requests[0]?.options.schema)).toContain(
      '"$ref":"#/anyOf/1/properties/arguments/$defs/r"',
    );
  });

  test("are left out where the request does not want them", async () => {
    runtime.script = [[call]];
    const { json } = await chat({ tools: [lamp], tool_choice: "none" });
    expect(runtime.requests[0]?.options.tools).toBeUndefined();
    expect(json).toMatchObject({ choices: [{ message: { content: call }, finish_reason: "stop" }] });
  });

  test("and their results come back as text, and in the form of templates that know tools", async () => {
    const tool_calls = [{ id: "c1", type: "function", function: { name: "lamp", arguments: '{"on":true}' } }];
    await chat({
      messages: [
        ...messages,
        { role: "assistant", content: null, tool_calls },
        { role: "tool", tool_call_id: "c1", content: "done" },
      ],
    });
    expect(runtime.requests[0]?.input).toMatchObject([
      {},
      {
        role: "assistant",
        content: `<tool_call>\n${call}\n</tool_call>`,
        toolForm: { tool_calls: [{ id: "c1", function: { name: "lamp", arguments: { on: true } } }] },
      },
      {
        role: "user",
        content: "<tool_response>\ndone\n</tool_response>",
        toolForm: { role: "tool", content: "done", tool_call_id: "c1" },
      },
    ]);
  });
});

describe("POST /v1/completions", () => {
  const url = "/v1/completions";

  test("continues texts, echoes them where wanted, and counts each prompt once", async () => {
    runtime.script = [["x"]];
    const { text } = await post(url, { prompt: ["a", "b"], n: 2, echo: true });
    expect(JSON.parse(text)).toMatchObject({
      object: "text_completion",
      choices: [
        { index: 0, text: "ax", finish_reason: "stop" },
        { index: 1, text: "ax" },
        { index: 2, text: "bx" },
        { index: 3, text: "bx" },
      ],
      usage: { prompt_tokens: 14, completion_tokens: 4 },
    });
  });

  test("reports log-probabilities with offsets into the text", async () => {
    runtime.script = [["ab"]];
    const { text } = await post(url, { prompt: "p", logprobs: 1, echo: true });
    expect(JSON.parse(text)).toMatchObject({
      choices: [{ logprobs: { tokens: ["a", "b"], token_logprobs: [-0.5, -0.5], text_offset: [1, 2] } }],
    });
  });

  test("streams", async () => {
    const chunks = await events(url, { prompt: "p", echo: true });
    const texts = chunks.map(({ choices }) => choices[0]?.text);
    expect(texts).toEqual(["p", "hello", " world", ""]);
    expect(chunks.at(-1)).toMatchObject({ object: "text_completion", air: { tier: "small" } });
  });

  test.each([
    [{ prompt: [1, 2] }, "prompt"],
    [{ prompt: "x", suffix: "y" }, "suffix"],
    [{ prompt: "x", best_of: 2 }, "best_of"],
    [{ prompt: ["a", "b", "c"], n: 4 }, "prompt"],
    [{ prompt: "x", max_tokens: 1e6 }, "max_tokens"],
    [{}, "prompt"],
  ])("refuses %j", async (body, param) => {
    const { status, text } = await post(url, body);
    expect(status).toBe(400);
    expect(JSON.parse(text)).toMatchObject({ error: { type: "invalid_request_error", param } });
  });
});
