import { once } from "node:events";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { text as readText } from "node:stream/consumers";

import { afterEach, describe, expect, test, vi } from "vitest";

import { hashApiKey, parseApiKeys } from "../../../lib/server/api-keys.js";
import { type AirServer, createServer } from "../../../lib/server/server.js";
import type { ServerOptions } from "../../../lib/server/server-options.js";
import { FakeRuntime, hang } from "../../support/fake-runtime.js";

let server: AirServer | undefined;
afterEach(() => server?.close());

function start(options: ServerOptions = {}) {
  const runtime = new FakeRuntime();
  server = createServer(runtime, options);
  return { runtime, server };
}

const body = JSON.stringify({ messages: [{ role: "user", content: "hi" }] });
const json = { "content-type": "application/json" };
const hex = (key: string) => hashApiKey(key).toString("hex");

async function chat(target: AirServer, headers: Readonly<Record<string, string>> = {}) {
  const response = await target.inject({
    ...{ method: "POST", url: "/v1/chat/completions", payload: body, headers: { ...json, ...headers } },
  });
  const { error } = JSON.parse(response.body) as { error?: { code: string; type: string; message: string } };
  return { status: response.statusCode, headers: response.headers, error };
}

/** A server that listens. */
async function listen(options: ServerOptions = {}) {
  const started = start(options);
  await started.server.listen({ host: "127.0.0.1", port: 0 });
  const { port } = started.server.server.address() as AddressInfo;
  return { ...started, port, url: `http://127.0.0.1:${port}` };
}

/** What comes back for raw bytes. */
async function raw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(bytes);
  return readText(socket);
}

describe("API keys", () => {
  const apiKeys = parseApiKeys(
    `# ours\n${hex("one")} alice team-a # note\n\n${hex("two")} bob\n${hex("three")}\n`,
    "x",
  );

  test("are read from lines of a hash, a name and a tenant", () => {
    expect(apiKeys.map(({ name, tenant }) => [name, tenant])).toEqual([
      ["alice", "team-a"],
      ["bob", undefined],
      ["key-3", undefined],
    ]);
    expect(() => parseApiKeys("sk-plain-key", "keys.txt")).toThrow(/line 1 of keys.txt/);
    expect(() => parseApiKeys("sk-plain-key", "keys.txt")).not.toThrow(/sk-plain/);
    expect(() => parseApiKeys("# none", "keys.txt")).toThrow(/at least one key/);
  });

  test("are asked for, and their tenant salts the cache of prefixes", async () => {
    const { runtime, server: target } = start({ apiKeys });
    for (const authorization of [undefined, "Bearer wrong", "Basic one", "one", "Bearer"]) {
      const { status, error, headers } = await chat(
        target,
        authorization === undefined ? {} : { authorization },
      );
      expect(status).toBe(401);
      expect(error).toMatchObject({ type: "authentication_error", code: "invalid_api_key" });
      expect(headers["www-authenticate"]).toBe("Bearer");
      expect(error?.message).not.toContain("wrong");
    }
    expect(runtime.requests).toHaveLength(0);
    for (const key of ["one", "two"]) {
      expect((await chat(target, { authorization: `Bearer ${key}` })).status).toBe(200);
    }
    expect(runtime.requests.map(({ options }) => options.cacheSalt)).toEqual(["team-a", "bob"]);
  });

  test("say who asks, whatever the request says, and how urgent that may be", async () => {
    const keys = parseApiKeys(`${hex("one")} alice team-a 10\n${hex("two")} bob team-b -3\n`, "x");
    expect(keys.map(({ priority }) => priority)).toEqual([10, -3]);
    const { runtime, server: target } = start({ apiKeys: keys, maxAnswerMs: 900 });
    const ask = async (key: string, more: object) =>
      (
        await target.inject({
          ...{ method: "POST", url: "/v1/chat/completions", payload: { ...JSON.parse(body), ...more } },
          headers: { authorization: `Bearer ${key}` },
        })
      ).statusCode;
    expect(await ask("one", { user: "somebody else" })).toBe(200);
    expect(await ask("one", { air: { priority: 2, timeout_ms: 100 } })).toBe(200);
    expect(await ask("two", { air: { timeout_ms: 100_000 } })).toBe(200);
    expect(await ask("two", { air: { priority: 0 } })).toBe(400);
    expect(
      runtime.requests.map(({ options }) => [options.user, options.priority, options.timeoutMs]),
    ).toEqual([
      ["alice", 10, 900],
      ["alice", 2, 100],
      ["bob", -3, 900],
    ]);
    expect(() => parseApiKeys(`${hex("one")} alice team-a 101`, "x")).toThrow(/line 1/);
  });

  test("guard figures, and neither health nor the description of the API", async () => {
    const { server: target } = start({ apiKeys });
    const statuses = new Map<string, number>();
    for (const url of [
      "/health",
      "/ready",
      "/docs",
      "/openapi.json",
      "/metrics",
      "/canary",
      "/v1/models",
      "/none",
    ])
      statuses.set(url, (await target.inject(url)).statusCode);
    expect(Object.fromEntries(statuses)).toEqual({
      ...{ "/health": 200, "/ready": 200, "/docs": 200, "/openapi.json": 200 },
      ...{ "/metrics": 401, "/canary": 401, "/v1/models": 401, "/none": 401 },
    });
  });

  test("have a rate limit each", async () => {
    const { server: target } = start({ apiKeys, rateLimit: { requests: 2 } });
    const as = (key: string) => chat(target, { authorization: `Bearer ${key}` });
    expect([(await as("one")).status, (await as("one")).status]).toEqual([200, 200]);
    const { status, error, headers } = await as("one");
    expect(status).toBe(429);
    expect(error).toMatchObject({ type: "rate_limit_error", code: "rate_limit_exceeded" });
    expect(Number(headers["retry-after"])).toBeGreaterThan(0);
    expect((await as("two")).status).toBe(200);
    for (let index = 0; index < 5; index += 1) expect((await target.inject("/health")).statusCode).toBe(200);
  });
});

describe("a server", () => {
  test("lets no page call it, unless its origin is known", async () => {
    const headers = { origin: "https://app.example" };
    const closed = await chat(start().server, headers);
    expect(closed.headers["access-control-allow-origin"]).toBeUndefined();
    await server?.close();
    const open = start({ corsOrigins: ["https://app.example"], apiKeys: parseApiKeys(hex("k"), "x") }).server;
    const preflight = await open.inject({
      ...{ method: "OPTIONS", url: "/v1/chat/completions" },
      headers: { ...headers, "access-control-request-method": "POST" },
    });
    expect(preflight.statusCode).toBe(204);
    expect(preflight.headers["access-control-allow-origin"]).toBe("https://app.example");
    const other = await chat(open, { origin: "https://evil.example", authorization: "Bearer k" });
    expect(other.headers["access-control-allow-origin"]).not.toBe("https://evil.example");
  });

  test("logs the route and the status of a request, and nothing that it says", async () => {
    const lines: unknown[][] = [];
    const log = (...line: unknown[]) => lines.push(line);
    const logger = {
      ...{ info: log, error: log, warn: log, debug: log, trace: log, fatal: log, silent: log },
    };
    const full = { ...logger, level: "info", child: () => full };
    const { server: target } = start({ logger: full });
    await target.inject({
      ...{ method: "POST", url: "/v1/chat/completions?q=secret", headers: json },
      payload: { messages: [{ role: "user", content: "secret" }], stop: "secret" },
    });
    await target.inject({ method: "POST", url: "/v1/completions", headers: json, payload: '{"secret"' });
    await target.inject({ method: "POST", url: "/secret", headers: json, payload: "{}" });
    const text = JSON.stringify(lines);
    expect(text).toContain("/v1/chat/completions");
    expect(text).not.toContain("secret");
  });

  test("drains: what was begun ends, nothing new begins, and those who are late are cut off", async () => {
    const { runtime, url, server: target } = await listen();
    runtime.script = [["slow", hang]];
    const response = await fetch(`${url}/v1/chat/completions`, {
      ...{ method: "POST", headers: json, body: JSON.stringify({ ...JSON.parse(body), stream: true }) },
    });
    const reading = response.text();
    const drained = target.drain(200);
    await vi.waitFor(() => expect(fetch(`${url}/health`)).rejects.toThrow());
    expect(await reading).toContain('"code":"cancelled"');
    await drained;
    expect(await runtime.requests[0]?.cancelled).toBe(true);
  });

  test("cancels at once what a client who left had asked for, whole or streamed", async () => {
    const { runtime, url } = await listen();
    runtime.script = [[hang], ["a", hang]];
    for (const stream of [false, true]) {
      const controller = new AbortController();
      const asked = fetch(`${url}/v1/chat/completions`, {
        ...{ method: "POST", headers: json, body: JSON.stringify({ ...JSON.parse(body), stream, n: 2 }) },
        signal: controller.signal,
      });
      if (stream) await (await asked).body?.getReader().read();
      else
        await vi.waitFor(() => {
          expect(runtime.requests).toHaveLength(2);
        });
      controller.abort();
      await asked.catch(() => undefined);
      for (const { cancelled } of runtime.requests) expect(await cancelled).toBe(true);
      runtime.requests.length = 0;
      runtime.script = [["a", hang]];
    }
  });

  test("says of what is no HTTP, of headers too large and of requests too slow what is wrong", async () => {
    const { port } = await listen({ requestTimeoutMs: 300 });
    expect(await raw(port, "NONSENSE\r\n\r\n")).toMatch(
      /^HTTP\/1.1 400 [\s\S]*"type":"invalid_request_error"/,
    );
    const large = `GET /health HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(20_000)}\r\n\r\n`;
    expect(await raw(port, large)).toMatch(/^HTTP\/1.1 431 [\s\S]*"code":"headers_too_large"/);
    const slow =
      "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{";
    expect(await raw(port, slow)).toMatch(/^HTTP\/1.1 408 [\s\S]*"code":"request_timeout"/);
  });

  test("serves HTTPS with a certificate", () => {
    expect(() => createServer(new FakeRuntime(), { tls: { cert: "x", key: "y" } })).toThrow();
  });

  test("refuses requests when the event loop is late, and says that it lives", async () => {
    const { server: target } = start({ pressure: { maxResidentBytes: 1 } });
    await target.ready();
    await once(process, "nothing", { signal: AbortSignal.timeout(1100) }).catch(() => undefined);
    const { status, error, headers } = await chat(target);
    expect(status).toBe(503);
    expect(error).toMatchObject({ type: "overloaded_error", code: "unavailable" });
    expect(headers["retry-after"]).toBeDefined();
    for (const url of ["/health", "/ready", "/metrics"]) {
      expect((await target.inject(url)).statusCode).toBe(200);
    }
  });

  test("is not ready before a model is loaded", async () => {
    const { runtime, server: target } = start();
    runtime.isLoaded = false;
    expect((await target.inject("/ready")).statusCode).toBe(503);
    runtime.isLoaded = true;
    expect((await target.inject("/ready")).statusCode).toBe(200);
  });

  test("has figures of requests, tokens, tiers and pages", async () => {
    const { server: target } = start();
    await chat(target);
    const { body: text } = await target.inject("/metrics");
    for (const line of [
      'air_requests_total{route="/v1/chat/completions",status="200"} 1',
      'air_tokens_total{tier="small",kind="generated"} 11',
      'air_routed_total{tier="small",reason="score"} 1',
      'air_tier_waiting{tier="large"} 2',
      'air_kv_pages_free{tier="small"} 3',
      "air_requests_in_flight 0",
    ])
      expect(text).toContain(line);
    expect(text).not.toContain('air_kv_pages_free{tier="large"}');
  });

  test("describes its API for programs and for people", async () => {
    const { server: target } = start();
    const document = JSON.parse((await target.inject("/openapi.json")).body) as {
      openapi: string;
      paths: Record<string, { post?: { requestBody?: { content: Record<string, { schema: object }> } } }>;
    };
    expect(document.openapi).toBe("3.1.0");
    const schema =
      document.paths["/v1/chat/completions"]?.post?.requestBody?.content["application/json"]?.schema;
    expect(schema).toMatchObject({ required: ["messages"], properties: { temperature: {}, tools: {} } });
    for (const path of Object.keys(document.paths)) {
      const url = path.replace("{model}", "small");
      const method = "post" in (document.paths[path] ?? {}) ? "POST" : "GET";
      const response = await target.inject({ method, url, ...(method === "POST" && { payload: {} }) });
      expect(response.statusCode, path).not.toBe(404);
    }
    const page = await target.inject("/docs");
    expect(page.headers["content-security-policy"]).toContain("default-src 'none'");
    expect(page.body).not.toMatch(/(?:src|href)="https?:/);
  });

  test("counts tokens of a text and of a conversation", async () => {
    const { server: target } = start();
    const ask = async (payload: object) => {
      const { statusCode, body: text } = await target.inject({ method: "POST", url: "/tokenize", payload });
      return [statusCode, JSON.parse(text)] as const;
    };
    expect(await ask({ content: "ab" })).toMatchObject([
      200,
      { model: "small", tokens: [0, 3, 4], count: 3 },
    ]);
    const messages = [{ role: "user", content: "ab" }];
    expect(await ask({ messages, model: "large" })).toMatchObject([200, { model: "large", tokens: [3, 4] }]);
    expect((await ask({ content: "a", messages }))[0]).toBe(400);
    expect((await ask({ content: "a", model: "remote" }))[0]).toBe(400);
  });

  test("limits prompts by tokens", async () => {
    const { server: target } = start({ maxPromptTokens: 2 });
    expect((await chat(target)).status).toBe(200);
    const payload = { messages: [{ role: "user", content: "abc" }] };
    const { statusCode, body: text } = await target.inject({
      method: "POST",
      url: "/v1/chat/completions",
      payload,
    });
    expect(statusCode).toBe(400);
    expect(JSON.parse(text)).toMatchObject({ error: { code: "context_length_exceeded", param: "messages" } });
  });
});
