/** What curl says and is told, over HTTP and HTTPS: transcripts as docs have them. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { text as readText } from "node:stream/consumers";
import { connect as connectTls } from "node:tls";
import { promisify } from "node:util";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { hashApiKey } from "../../lib/server/api-keys.js";
import { type AirServer, createServer } from "../../lib/server/server.js";
import { AirRuntime } from "../../lib/tiers/air-runtime.js";
import { streamedText } from "../support/serve-process.js";
import { calmSensors, largeFile, plainText } from "../support/tier-runtime.js";

const run = promisify(execFile);
const folder = mkdtempSync(path.join(tmpdir(), "air-curl-"));
const question = "What is the capital of France?";
const messages = [{ role: "user", content: question }];
let runtime: AirRuntime;
let server: AirServer;
let url = "";

async function listen(target: AirServer): Promise<number> {
  await target.listen({ host: "127.0.0.1", port: 0 });
  return (target.server.address() as AddressInfo).port;
}

beforeAll(async () => {
  runtime = await AirRuntime.create(
    { tiers: [{ name: "tiny", model: largeFile, contextTokens: 512, threads: 1, preload: true }] },
    { sensors: calmSensors },
  );
  server = createServer(runtime, { requestTimeoutMs: 1000 });
  url = `http://127.0.0.1:${await listen(server)}`;
});
afterAll(async () => {
  await server.drain(0);
  await runtime.close();
  rmSync(folder, { recursive: true });
});

/** What curl prints: the status line and headers, then the body. */
async function curl(...args: readonly string[]): Promise<{ readonly head: string; readonly body: string }> {
  const { stdout } = await run("curl", ["--silent", "--show-error", "--no-buffer", "--include", ...args]);
  const end = stdout.indexOf("\r\n\r\n");
  return { head: stdout.slice(0, end), body: stdout.slice(end + 4) };
}

function post(route: string, body: unknown, ...more: readonly string[]) {
  const data = typeof body === "string" ? body : JSON.stringify(body);
  return curl(`${url}${route}`, "-H", "content-type: application/json", "-d", data, ...more);
}

interface Answer {
  readonly choices: readonly {
    readonly message: {
      readonly content: string | null;
      readonly tool_calls?: readonly {
        readonly function: { readonly name: string; readonly arguments: string };
      }[];
    };
    readonly finish_reason: string;
  }[];
  readonly usage: { readonly completion_tokens: number };
  readonly air: { readonly tier: string };
}

describe("curl", () => {
  test("gets an answer", async () => {
    const { head, body } = await post("/v1/chat/completions", { messages, max_tokens: 24 });
    expect(head).toMatch(/^HTTP\/1.1 200 OK/);
    expect(head).toMatch(/content-type: application\/json/);
    const answer = JSON.parse(body) as Answer;
    expect(answer.choices[0]?.message.content).toBe(await plainText(largeFile, question, { maxTokens: 24 }));
    expect(answer.air.tier).toBe("tiny");
  });

  test("gets a stream", async () => {
    const { head, body } = await post("/v1/chat/completions", { messages, max_tokens: 24, stream: true });
    expect(head).toMatch(/content-type: text\/event-stream/);
    expect(body.split("\n\n").slice(-2)).toEqual(["data: [DONE]", ""]);
    expect(streamedText(body)).toBe(await plainText(largeFile, question, { maxTokens: 24 }));
  });

  test("gets a tool call", async () => {
    const parameters = {
      ...{ type: "object", properties: { room: { enum: ["kitchen", "hall"] } }, required: ["room"] },
      additionalProperties: false,
    };
    const tools = [{ type: "function", function: { name: "lamp_on", parameters } }];
    const { body } = await post("/v1/chat/completions", { messages, tools, tool_choice: "required" });
    const [choice] = (JSON.parse(body) as Answer).choices;
    expect(choice?.finish_reason).toBe("tool_calls");
    const call = choice?.message.tool_calls?.[0]?.function;
    expect(call?.name).toBe("lamp_on");
    const { room } = JSON.parse(call?.arguments ?? "") as { readonly room: string };
    expect(["kitchen", "hall"]).toContain(room);
  });

  test("gets JSON of a schema", async () => {
    const schema = { type: "object", properties: { city: { enum: ["Paris", "Rome"] } }, required: ["city"] };
    const response_format = { type: "json_schema", json_schema: { name: "city", schema } };
    const { body } = await post("/v1/chat/completions", { messages, response_format, max_tokens: 60 });
    const { city } = JSON.parse((JSON.parse(body) as Answer).choices[0]?.message.content ?? "") as {
      city: string;
    };
    expect(["Paris", "Rome"]).toContain(city);
  });

  test("gets vectors", async () => {
    const { body } = await post("/v1/embeddings", { input: ["a", "b"] });
    const { data } = JSON.parse(body) as {
      readonly data: readonly { readonly embedding: readonly number[] }[];
    };
    for (const { embedding } of data) {
      expect(embedding.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(1, 4);
    }
  });

  test.each([
    ["/v1/chat/completions", "{", 400, "invalid_json"],
    ["/v1/chat/completions", { messages: [] }, 400, "invalid_value"],
    ["/v1/chat/completions", { messages, model: "gpt" }, 404, "model_not_found"],
    ["/v1/chat/completions", { messages, air: { priority: 5 } }, 400, "invalid_value"],
    ["/v1/embeddings", { input: 5 }, 400, "invalid_value"],
    ["/v1/nothing", {}, 404, "not_found"],
  ])("is told at %s with %j what is wrong (%d)", async (route, body, status, code) => {
    const { head, body: text } = await post(route, body);
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(JSON.parse(text)).toMatchObject({ error: { code, message: expect.any(String) } });
  });

  test("with one that asks for too long a time is told so", async () => {
    const body = { messages, max_tokens: 400, temperature: 1, n: 8, air: { timeout_ms: 5 } };
    const { head, body: text } = await post("/v1/chat/completions", body);
    expect(head).toMatch(/^HTTP\/1.1 504 /);
    expect(JSON.parse(text)).toMatchObject({ error: { code: "timeout" } });
  });
});

describe("HTTPS", () => {
  const certificate = path.join(folder, "cert.pem");
  const key = path.join(folder, "key.pem");
  let secure: AirServer;
  let port = 0;

  beforeAll(async () => {
    await run("openssl", [
      ...[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
      ],
      ...["-keyout", key, "-out", certificate, "-subj", "/CN=localhost"],
      ...["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
    ]);
    const tls = { cert: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") };
    const apiKeys = [{ hash: hashApiKey("sesame"), name: "ali" }];
    secure = createServer(runtime, { tls, apiKeys, requestTimeoutMs: 1000 });
    port = await listen(secure);
  });
  afterAll(() => secure.drain(0));

  test("is spoken with those who know the certificate, and their key does not go in the clear", async () => {
    const body = JSON.stringify({ messages, max_tokens: 24 });
    const args = ["-H", "content-type: application/json", "-H", "authorization: Bearer sesame", "-d", body];
    const address = `https://localhost:${port}/v1/chat/completions`;
    const { head, body: text } = await curl(address, "--cacert", certificate, ...args);
    expect(head).toMatch(/^HTTP\/1.1 200 OK/);
    expect((JSON.parse(text) as Answer).choices).toHaveLength(1);
    await expect(curl(address, ...args)).rejects.toThrow(/certificate/);
    expect((await curl(address, "--cacert", certificate, "-d", "{}")).head).toMatch(/^HTTP\/1.1 401 /);
  });

  test("begins with a handshake of TLS 1.2 or later", async () => {
    const ca = readFileSync(certificate);
    const socket = connectTls({ host: "127.0.0.1", port, ca, servername: "localhost" });
    await new Promise<void>((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
    expect(socket.authorized).toBe(true);
    expect(["TLSv1.2", "TLSv1.3"]).toContain(socket.getProtocol());
    socket.destroy();
    const old = connectTls({ host: "127.0.0.1", port, ca, servername: "localhost", maxVersion: "TLSv1.1" });
    await expect(
      new Promise((resolve, reject) => old.once("secureConnect", resolve).once("error", reject)),
    ).rejects.toThrow();
    const plain = connect(port, "127.0.0.1");
    plain.write("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
    expect(await readText(plain).catch(() => "")).not.toContain("200 OK");
    const status = await new Promise<number | undefined>((resolve, reject) => {
      httpsRequest(
        { host: "127.0.0.1", port, path: "/health", ca, servername: "localhost" },
        ({ statusCode }) => {
          resolve(statusCode);
        },
      )
        .once("error", reject)
        .end();
    });
    expect(status).toBe(200);
  });
});

describe("clients that send a byte now and then", () => {
  const head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
  test.each([
    ["in their headers", `${head}x: ${"y".repeat(1000)}`],
    ["in their body", `${head}content-length: 5000\r\n\r\n${" ".repeat(5000)}`],
  ])("%s are let go, and hold up nobody", async (_, bytes) => {
    const begun = performance.now();
    const sockets = Array.from({ length: 50 }, () => {
      const socket = connect(Number(new URL(url).port), "127.0.0.1");
      socket.on("error", () => undefined);
      let sent = bytes.length > 3000 ? bytes.length - 4990 : 120;
      socket.write(bytes.slice(0, sent));
      const timer = setInterval(() => socket.write(bytes.slice(sent, (sent += 1))), 100);
      socket.once("close", () => {
        clearInterval(timer);
      });
      return readText(socket).catch(() => "");
    });
    const { head: other } = await post("/v1/chat/completions", { messages, max_tokens: 8 });
    expect(other).toMatch(/200 OK/);
    const answers = await Promise.all(sockets);
    expect(performance.now() - begun).toBeLessThan(8000);
    const told = answers.filter((answer) => /^HTTP\/1.1 408 [\s\S]*"code":"request_timeout"/.test(answer));
    expect(told.length).toBeGreaterThan(40); // a byte that crosses the answer may reset the connection
  });
});
