import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { hashApiKey } from "../../../lib/server/api-keys.js";
import { type AirServer, createServer } from "../../../lib/server/server.js";
import { FakeRuntime } from "../../support/fake-runtime.js";

let runtime: FakeRuntime;
let server: AirServer;

beforeEach(() => {
  runtime = new FakeRuntime();
  server = createServer(runtime, { maxPromptTokens: 20 });
});
afterEach(() => server.close());

async function embed(payload: object) {
  const response = await server.inject({ method: "POST", url: "/v1/embeddings", payload });
  return { status: response.statusCode, json: response.json<Record<string, unknown>>() };
}

describe("POST /v1/embeddings", () => {
  test("answers in the form of the API", async () => {
    const { status, json } = await embed({ input: ["abc", "de"], model: "large" });
    expect(status).toBe(200);
    expect(json).toEqual({
      ...{ object: "list", model: "large", usage: { prompt_tokens: 5, total_tokens: 5 } },
      data: [
        { object: "embedding", index: 0, embedding: [3, 1] },
        { object: "embedding", index: 1, embedding: [2, 1] },
      ],
    });
    expect((await server.inject("/metrics")).body).toContain(
      'air_tokens_total{tier="large",kind="embedded"} 5',
    );
  });

  test("writes float32 in little-endian base64", async () => {
    const { json } = await embed({ input: "abc", encoding_format: "base64" });
    const bytes = Buffer.alloc(8);
    bytes.writeFloatLE(3, 0);
    bytes.writeFloatLE(1, 4);
    expect(json["data"]).toEqual([{ object: "embedding", index: 0, embedding: bytes.toString("base64") }]);
  });

  test("hands on what was asked, and nothing that was not", async () => {
    await embed({ input: "abc" });
    await embed({
      ...{ input: "abc", dimensions: 1, user: "ann", encoding_format: null },
      air: { pooling: "last", priority: -2, timeout_ms: 50 },
    });
    const [plain, full] = runtime.embedRequests;
    expect(Object.keys(plain?.options ?? {}).sort()).toEqual(["priority", "signal", "user"]);
    expect(full?.options).toMatchObject({
      ...{ dimensions: 1, pooling: "last", user: "ann", priority: -2, timeoutMs: 50 },
    });
  });

  test("keeps tenants apart", async () => {
    await server.close();
    server = createServer(runtime, { apiKeys: [{ hash: hashApiKey("k"), name: "ali", tenant: "t" }] });
    await server.inject({
      ...{ method: "POST", url: "/v1/embeddings", payload: { input: "x" } },
      headers: { authorization: "Bearer k" },
    });
    expect(runtime.embedRequests[0]?.options).toMatchObject({ cacheSalt: "t", user: "ali" });
  });

  test.each([
    [{}, 400, "input"],
    [{ input: "" }, 400, "input"],
    [{ input: [] }, 400, "input"],
    [{ input: [1, 2] }, 400, "input"],
    [{ input: "x", dimensions: 0 }, 400, "dimensions"],
    [{ input: "x", encoding_format: "int8" }, 400, "encoding_format"],
    [{ input: "x", model: "remote" }, 400, "model"],
    [{ input: "x", model: "other" }, 404, "model"],
    [{ input: "y".repeat(21) }, 400, "input"],
  ])("refuses %j with %d", async (body, status, param) => {
    const found = await embed(body);
    expect(found.status).toBe(status);
    expect(found.json).toMatchObject({ error: { param } });
    expect(runtime.embedRequests).toHaveLength(0);
  });
});
