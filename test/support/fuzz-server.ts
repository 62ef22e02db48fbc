/** Sends spoilt bodies to a server, and checks that every one of them is answered as it should be. */
import { expect } from "vitest";

import { type AirServer, createServer } from "../../lib/server/server.js";
import { AirRuntime } from "../../lib/tiers/air-runtime.js";
import { createDice } from "./dice.js";
import { mutateBody } from "./mutate-json.js";
import { calmSensors, smallFile } from "./tier-runtime.js";

const parameters = { type: "object", properties: { a: { type: "string" } }, required: ["a"] };
const tool = { type: "function", function: { name: "f", description: "d", parameters } };
const call = { id: "c", type: "function", function: { name: "f", arguments: '{"a":"b"}' } };

const chatBody = {
  ...{
    model: "auto",
    max_tokens: 2,
    n: 1,
    temperature: 0.5,
    top_p: 0.9,
    seed: 1,
    stop: ["x"],
    logprobs: true,
  },
  ...{ top_logprobs: 1, logit_bias: { 5: 1 }, presence_penalty: 0, frequency_penalty: 0, stream: false },
  messages: [
    { role: "system", content: "s" },
    { role: "user", content: [{ type: "text", text: "u" }] },
    { role: "assistant", content: null, tool_calls: [call] },
    { role: "tool", tool_call_id: "c", content: "t" },
    { role: "user", content: "hi" },
  ],
  tools: [tool],
  tool_choice: "auto",
  response_format: { type: "json_schema", json_schema: { name: "n", schema: parameters } },
  stream_options: { include_usage: true },
  air: { min_tier: "tiny", deadline_ms: 10_000, local_only: true, speculation: "off", priority: -1 },
};
const completionBody = {
  ...{ model: "auto", prompt: ["a"], max_tokens: 2, n: 1, best_of: 1, echo: true, logprobs: 1, suffix: "" },
  ...{ stop: "x", seed: 1, temperature: 0, stream: true },
};
const bodies = [
  { url: "/v1/chat/completions", body: chatBody },
  {
    url: "/v1/chat/completions",
    body: { messages: chatBody.messages, max_tokens: 2, tools: [tool], tool_choice: "required" },
  },
  { url: "/v1/completions", body: completionBody },
  { url: "/tokenize", body: { content: "a", model: "auto" } },
  { url: "/tokenize", body: { messages: chatBody.messages, tools: [tool] } },
  { url: "/v1/embeddings", body: { input: "a" } },
  {
    url: "/v1/embeddings",
    body: {
      ...{ input: ["a", "b c"], model: "auto", encoding_format: "base64", dimensions: 3, user: "u" },
      air: { pooling: "last", priority: -1, timeout_ms: 10_000 },
    },
  },
];

/** What came of a fuzz. */
interface FuzzReport {
  readonly answered: number;
  readonly refused: number;
}

/** An answer is 200, a refusal 4xx with an error object; nothing else is right. */
async function fuzzServer(server: AirServer, seed: number, count: number): Promise<FuzzReport> {
  const dice = createDice(seed);
  let answered = 0;
  let refused = 0;
  for (let round = 0; round < count; round += 1) {
    const { url, body } = bodies[dice(bodies.length)] ?? { url: "/", body: {} };
    const payload = Buffer.from(mutateBody(body, dice));
    const headers = { "content-type": "application/json" };
    const response = await server.inject({ method: "POST", url, payload, headers });
    const hint = `${url} ${payload.toString("latin1").slice(0, 2000)} -> ${response.statusCode} ${response.body.slice(0, 500)}`;
    if (response.statusCode === 200) {
      answered += 1;
      // A stream that began well may still end badly, but not by a fault of the server.
      if (response.body.startsWith("data:"))
        expect(response.body, hint).not.toContain('"type":"server_error"');
      else expect(() => JSON.parse(response.body) as unknown, hint).not.toThrow();
      continue;
    }
    refused += 1;
    expect(response.statusCode, hint).toBeGreaterThanOrEqual(400);
    expect(response.statusCode, hint).toBeLessThan(500);
    const { error } = JSON.parse(response.body) as { error: unknown };
    expect(error, hint).toMatchObject({
      ...{ message: expect.any(String), type: "invalid_request_error", code: expect.any(String) },
    });
    expect(error, hint).toHaveProperty("param");
  }
  expect(Object.prototype).not.toHaveProperty("polluted");
  return { answered, refused };
}

/** Sends spoilt bodies to a server of the smallest model, and checks that all its pages are free afterwards. */
export async function fuzzSmallServer(seed: number, count: number): Promise<void> {
  const tiny = {
    name: "tiny",
    model: smallFile,
    contextTokens: 512,
    threads: 1,
    preload: true,
    maxTokens: 4,
  };
  await using runtime = await AirRuntime.create({ tiers: [tiny] }, { sensors: calmSensors });
  const server = createServer(runtime);
  const { answered, refused } = await fuzzServer(server, seed, count);
  // Else the bodies were spoilt too much, or too little, to say anything.
  expect(answered).toBeGreaterThan(count / 30);
  expect(refused).toBeGreaterThan(count / 3);
  const stats = runtime.model("tiny")?.stats;
  expect(stats?.freePages).toBe(stats?.usablePages);
  await server.close();
}
