import { connect, type AddressInfo } from "node:net";
import { text as readText } from "node:stream/consumers";

import OpenAI, { APIError } from "openai";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

import { type AirServer, createServer } from "../../lib/server/server.js";
import { AirRuntime } from "../../lib/tiers/air-runtime.js";
import { calmSensors, largeFile } from "../support/tier-runtime.js";
import { plainText } from "../support/tier-runtime.js";

let runtime: AirRuntime;
let server: AirServer;
let port = 0;
let client: OpenAI;

beforeAll(async () => {
  runtime = await AirRuntime.create(
    {
      tiers: [
        {
          ...{
            name: "tiny",
            model: largeFile,
            contextTokens: 512,
            kvTokens: 2048,
            threads: 1,
            preload: true,
          },
          ...{ maxConcurrent: 3, maxWaiting: 2, idleUnloadSeconds: 0 },
        },
      ],
    },
    { sensors: calmSensors },
  );
  server = createServer(runtime, { maxBodyBytes: 65_536, requestTimeoutMs: 2000 });
  await server.listen({ host: "127.0.0.1", port: 0 });
  ({ port } = server.server.address() as AddressInfo);
  client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: "none", maxRetries: 0 });
});

afterAll(async () => {
  await server.drain(0);
  await runtime.close();
});

const capital = [{ role: "user", content: "What is the capital of France?" }] as const;
const settings = { model: "tiny", messages: [...capital], max_tokens: 24 };

/** All pages are free, but for those that the prefix cache may give back at any time. */
async function expectQuiet() {
  await vi.waitFor(() => {
    expect(runtime.stats.tiers["tiny"]).toMatchObject({ active: 0, waiting: 0 });
    const stats = runtime.model("tiny")?.stats;
    expect(stats?.freePages).toBe(stats?.usablePages);
  });
}

async function errorOf(work: Promise<unknown>): Promise<APIError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof APIError)) throw new Error(`expected an APIError but received ${String(error)}`);
  return error;
}

describe("the official client", () => {
  test("gets the text that the runtime gives, whole and streamed", async () => {
    const expected = await plainText(largeFile, capital[0].content, { maxTokens: 24 });
    const answer = await client.chat.completions.create(settings);
    expect(answer.choices[0]?.message.content).toBe(expected);
    expect(answer.choices[0]?.message.content).toContain("Paris");
    expect(answer.usage?.total_tokens).toBe(
      (answer.usage?.prompt_tokens ?? 0) + (answer.usage?.completion_tokens ?? 0),
    );
    const stream = client.chat.completions.stream({ ...settings, stream_options: { include_usage: true } });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]?.message.content).toBe(expected);
    expect(final.choices[0]?.finish_reason).toBe("stop");
    expect(final.usage?.completion_tokens).toBe(answer.usage?.completion_tokens);
  });

  test("gets repeatable samples, several at a time, with log-probabilities", async () => {
    const request = {
      ...settings,
      n: 2,
      seed: 3,
      temperature: 2,
      logprobs: true,
      top_logprobs: 2,
      max_tokens: 8,
    };
    const [first, second] = [
      await client.chat.completions.create(request),
      await client.chat.completions.create(request),
    ];
    const texts = first.choices.map(({ message }) => message.content);
    expect(second.choices.map(({ message }) => message.content)).toEqual(texts);
    expect(new Set(texts).size).toBe(2);
    const entries = first.choices[0]?.logprobs?.content ?? [];
    expect(entries).toHaveLength(8);
    for (const { logprob, top_logprobs } of entries) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top_logprobs).toHaveLength(2);
    }
    expect(Buffer.from(entries.flatMap(({ bytes }) => bytes ?? [])).toString()).toBe(texts[0]);
  });

  test("gets JSON that its schema allows, streamed too", async () => {
    const schema = {
      ...{ type: "object", required: ["city", "size"], additionalProperties: false },
      properties: { city: { enum: ["Paris", "Rome"] }, size: { type: "integer" } },
    };
    const response_format = { type: "json_schema" as const, json_schema: { name: "city", schema } };
    const check = (text: string | null | undefined) => {
      const value = JSON.parse(text ?? "") as { city: string; size: number };
      expect(["Paris", "Rome"]).toContain(value.city);
      expect(Number.isInteger(value.size)).toBe(true);
    };
    const request = { ...settings, response_format, max_tokens: 100, temperature: 1, seed: 1 };
    check((await client.chat.completions.create(request)).choices[0]?.message.content);
    check((await client.chat.completions.stream(request).finalChatCompletion()).choices[0]?.message.content);
  });

  test("gets tool calls, and goes on with what the tool returned", async () => {
    const parameters = {
      ...{ type: "object", properties: { room: { enum: ["kitchen", "hall"] } }, required: ["room"] },
      additionalProperties: false,
    };
    const tools = [{ type: "function" as const, function: { name: "lamp_on", parameters } }];
    const messages = [{ role: "user" as const, content: "Turn on the kitchen lamp" }];
    const request = { model: "tiny", messages, tools, tool_choice: "required" as const };
    const whole = await client.chat.completions.create(request);
    const streamed = await client.chat.completions.stream(request).finalChatCompletion();
    for (const { choices } of [whole, streamed]) {
      expect(choices[0]?.finish_reason).toBe("tool_calls");
      const call = choices[0]?.message.tool_calls?.[0];
      if (call?.type !== "function") throw new Error("expected a function call");
      expect(call.function.name).toBe("lamp_on");
      expect(["kitchen", "hall"]).toContain((JSON.parse(call.function.arguments) as { room: string }).room);
    }
    const message = whole.choices[0]?.message;
    if (message === undefined) throw new Error("expected a message");
    const result = { role: "tool" as const, tool_call_id: message.tool_calls?.[0]?.id ?? "", content: "on" };
    const after = await client.chat.completions.create({
      ...settings,
      tools,
      messages: [...messages, message, result],
    });
    expect(after.choices).toHaveLength(1);
  });

  test("completes texts, with stops and biases", async () => {
    const first = await client.completions.create({ model: "auto", prompt: "Hello", max_tokens: 4 });
    const text = first.choices[0]?.text ?? "";
    expect(first.usage?.completion_tokens).toBe(4);
    const stopped = await client.completions.create({
      ...{ model: "auto", prompt: "Hello", max_tokens: 4, stop: text.slice(-2) },
    });
    expect(stopped.choices[0]).toMatchObject({
      finish_reason: "stop",
      text: text.slice(0, text.indexOf(text.slice(-2))),
    });
    const { tokens } = (await (
      await fetch(`http://127.0.0.1:${port}/tokenize`, {
        ...{ method: "POST", headers: { "content-type": "application/json" } },
        body: JSON.stringify({ content: text }),
      })
    ).json()) as { tokens: number[] };
    const biased = await client.completions.create({
      ...{ model: "auto", prompt: "Hello", max_tokens: 4 },
      logit_bias: Object.fromEntries(tokens.map((token) => [token, -100])),
    });
    expect(biased.choices[0]?.text).not.toBe(text);
    let streamed = "";
    const stream = await client.completions.create({
      model: "auto",
      prompt: "Hello",
      max_tokens: 4,
      stream: true,
    });
    for await (const { choices } of stream) streamed += choices[0]?.text ?? "";
    expect(streamed).toBe(text);
  });

  test("gets texts as vectors, in both formats, and alike where texts are", async () => {
    const model = runtime.model("tiny");
    const input = ["The cat sat on the mat.", "The cat sat on the mat!", "one two three"];
    const expected = (await model?.embed(input))?.map(({ vector }) => [...vector]);
    for (const encoding_format of ["float", "base64", undefined] as const) {
      const { data, usage } = await client.embeddings.create({
        ...{ model: "tiny", input, ...(encoding_format !== undefined && { encoding_format }) },
      });
      const vectors = data.map(({ embedding }) =>
        typeof embedding === "string"
          ? [...new Float32Array(new Uint8Array(Buffer.from(embedding, "base64")).buffer)]
          : embedding,
      );
      expect(vectors).toEqual(expected);
      expect(usage.prompt_tokens).toBeGreaterThan(10);
    }
    const dot = (a: readonly number[] = [], b: readonly number[] = []) =>
      a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
    expect(dot(expected?.[0], expected?.[0])).toBeCloseTo(1, 5);
    expect(dot(expected?.[0], expected?.[1])).toBeGreaterThan(dot(expected?.[0], expected?.[2]));
    const short = await client.embeddings.create({ model: "tiny", input: input.slice(0, 1), dimensions: 4 });
    expect(short.data[0]?.embedding).toHaveLength(4);
    const tooMany = client.embeddings.create({ model: "tiny", input, dimensions: 10_000 });
    expect((await errorOf(tooMany)).status).toBe(400);
    await expectQuiet();
  });

  test("lists the models", async () => {
    const { data } = await client.models.list();
    expect(data.map(({ id }) => id)).toEqual(["auto", "tiny"]);
    expect((await client.models.retrieve("tiny")).id).toBe("tiny");
  });

  test("gets errors of the kinds that it knows", async () => {
    const unknown = await errorOf(client.chat.completions.create({ ...settings, model: "gpt-4o" }));
    expect(unknown).toMatchObject({ status: 404, code: "model_not_found", param: "model" });
    const hot = await errorOf(client.chat.completions.create({ ...settings, temperature: 3 }));
    expect(hot).toMatchObject({ status: 400, type: "invalid_request_error", param: "temperature" });
    const tooLong = [{ role: "user" as const, content: "word ".repeat(2000) }];
    const context = await errorOf(client.chat.completions.create({ ...settings, messages: tooLong }));
    expect(context).toMatchObject({ status: 400, code: "context_length_exceeded" });
    const bias = await errorOf(client.chat.completions.create({ ...settings, logit_bias: { 999999: 1 } }));
    expect(bias).toMatchObject({ status: 400, type: "invalid_request_error" });
    const embeddings = await errorOf(client.embeddings.create({ model: "tiny", input: "" }));
    expect(embeddings).toMatchObject({ status: 400, param: "input" });
    const bad = { type: "json_schema" as const, json_schema: { name: "x", schema: { type: "nothing" } } };
    const schema = await errorOf(client.chat.completions.create({ ...settings, response_format: bad }));
    expect(schema.status).toBe(400);
  });

  test("is told that the model is busy when too many wait; the others are answered", async () => {
    const all = await Promise.allSettled(
      Array.from({ length: 9 }, () =>
        client.completions.create({
          model: "tiny",
          prompt: "Once upon a time",
          max_tokens: 400,
          temperature: 1,
          seed: 4,
        }),
      ),
    );
    const refused = all.flatMap((one) => (one.status === "rejected" ? [one.reason as APIError] : []));
    expect(refused).toHaveLength(4);
    for (const error of refused) {
      expect(error).toMatchObject({ status: 503, code: "model_busy", type: "overloaded_error" });
      expect(Number(error.headers?.get("retry-after"))).toBeGreaterThanOrEqual(1);
    }
    const texts = all.flatMap((one) => (one.status === "fulfilled" ? [one.value.choices[0]?.text] : []));
    expect(new Set(texts).size).toBe(1);
    await expectQuiet();
  });

  test("may leave at any time: nothing goes on without it", async () => {
    const prompt = "Once upon a time";
    for (let round = 0; round < 6; round += 1) {
      const controller = new AbortController();
      const { signal } = controller;
      const request = { model: "tiny", prompt, max_tokens: 450, temperature: 1, seed: round };
      if (round % 2 === 0) {
        const stream = await client.completions.create({ ...request, stream: true }, { signal });
        await stream[Symbol.asyncIterator]().next();
        controller.abort();
      } else {
        const asked = client.completions.create({ ...request, n: 2 }, { signal });
        await vi.waitFor(() => {
          expect(runtime.stats.tiers["tiny"]?.active).toBeGreaterThan(0);
        });
        controller.abort();
        await expect(asked).rejects.toThrow();
      }
    }
    await expectQuiet();
  });
});

test("a remote tier of another runtime gets the same text from it, and knows its errors", async () => {
  await using other = await AirRuntime.create(
    { tiers: [{ name: "far", url: `http://127.0.0.1:${port}/v1`, model: "tiny", retries: 0 }] },
    { sensors: calmSensors },
  );
  const expected = (await client.chat.completions.create(settings)).choices[0]?.message.content;
  let streamed = "";
  const reply = other.generate(capital, { maxTokens: 24, logprobs: 1 });
  for await (const { text } of reply) streamed += text;
  expect(streamed).toBe(expected);
  const { promptTokens, tier } = await reply.result;
  expect(tier).toBe("far");
  expect(promptTokens).toBeGreaterThan(10);
  const refused = other.generate([{ role: "user", content: "word ".repeat(2000) }], { maxTokens: 2 });
  await expect(refused.result).rejects.toMatchObject({ name: expect.stringContaining("Error") });
});

/** Sends bytes as they are; the answers, as text. */
async function raw(...chunks: readonly (string | Uint8Array)[]): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  for (const chunk of chunks) socket.write(chunk);
  const answer = await readText(socket).catch(() => "");
  return answer;
}

function post(body: string | Uint8Array, more = ""): readonly (string | Uint8Array)[] {
  const head =
    `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${more}` +
    `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
  return [head, body];
}

function expectError(answer: string, status: number) {
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  const body = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4)) as { error: object };
  expect(body.error).toMatchObject({
    message: expect.any(String),
    type: expect.any(String),
    code: expect.any(String),
  });
}

describe("odd input over a socket", () => {
  const valid = JSON.stringify({ messages: capital });
  const cases: readonly [string, number, readonly (string | Uint8Array)[]][] = [
    ["no body", 400, post("")],
    ["half of a body", 400, post(valid.slice(0, -2))],
    [
      "invalid UTF-8",
      400,
      post(Buffer.concat([Buffer.from('{"messages":"'), Buffer.from([0xff, 0xc0]), Buffer.from('"}')])),
    ],
    ["deep JSON", 400, post(`{"messages":${"[".repeat(20_000)}${"]".repeat(20_000)}}`)],
    ["huge numbers", 400, post(`{"messages":${JSON.stringify(capital)},"temperature":1e999,"n":1e308}`)],
    ["a body that is no object", 400, post("null")],
    ["a body too large", 413, post(`{"messages":"${"x".repeat(70_000)}"}`)],
    [
      "another media type",
      415,
      post(valid).map((part) =>
        typeof part === "string" ? part.replace("application/json", "text/xml") : part,
      ),
    ],
    ["headers too large", 431, post(valid, `x: ${"y".repeat(20_000)}\r\n`)],
    ["a broken request line", 400, ["GET\r\n\r\n"]],
    ["a broken content length", 400, ["POST /v1/chat/completions HTTP/1.1\r\ncontent-length: x\r\n\r\n"]],
    [
      "a request without end",
      408,
      [
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{",
      ],
    ],
    ["headers without end", 408, ["POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx: "]],
    ["a broken url", 400, ["GET /%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"]],
    ["an unknown route", 404, ["GET /v2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"]],
    ["an unknown method", 404, ["DELETE /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"]],
  ];
  test.each(cases)("%s gets %d and an error object", async (_, status, chunks) => {
    expectError(await raw(...chunks), status);
  });

  test("and the server goes on", async () => {
    expect((await client.chat.completions.create(settings)).choices).toHaveLength(1);
    await expectQuiet();
  });
});
