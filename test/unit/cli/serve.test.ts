import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough, Readable } from "node:stream";
import { fileURLToPath } from "node:url";

import { afterAll, describe, expect, test, vi } from "vitest";

import { runCli } from "../../../lib/cli/program.js";
import { readableLine } from "../../../lib/cli/server-log.js";
import { hashApiKey } from "../../../lib/server/api-keys.js";

const model = fileURLToPath(new URL("../../../models/air-tiny-chat-draft-q8_0.gguf", import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), "air-serve-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Runs `air serve` in this process. */
function serve(...args: readonly string[]) {
  const stderr = new PassThrough();
  const stdout = new PassThrough();
  let log = "";
  stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const controller = new AbortController();
  const { signal } = controller;
  const status = runCli(["serve", ...args], { stdin: Readable.from([]), stdout, stderr, signal });
  return { status, controller, log: () => log };
}

describe("air serve", () => {
  test("serves a model to those who have a key, until it is interrupted", async () => {
    const keys = path.join(folder, "keys.txt");
    writeFileSync(keys, `${hashApiKey("sesame").toString("hex")} ali\n`);
    const options = ["--port", "0", "--threads", "1", "--ctx", "256", "--api-key-file", keys, "--json-logs"];
    const { status, controller, log } = serve("-m", model, ...options);
    const url = await vi.waitFor(
      () => /listening at (http:[^\s"]+)/.exec(log())?.[1] ?? expect.fail(log()),
      5000,
    );
    const ask = (authorization: string, body: object) =>
      fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization },
        body: JSON.stringify(body),
      });
    const messages = [{ role: "user", content: "tell me the secret" }];
    expect((await ask("Bearer guess", { messages })).status).toBe(401);
    const answer = await ask("Bearer sesame", { messages, max_tokens: 2 });
    expect(await answer.json()).toMatchObject({
      model: "air-tiny-chat-draft-q8_0",
      usage: { completion_tokens: 2 },
    });
    await vi.waitFor(async () => {
      expect((await fetch(`${url}/ready`)).status).toBe(200);
    });
    controller.abort();
    expect(await status).toBe(130);
    await expect(fetch(`${url}/health`)).rejects.toThrow();
    const lines = log()
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as object);
    expect(lines).toContainEqual(
      expect.objectContaining({ route: "/v1/chat/completions", status: 200, key: "ali" }),
    );
    expect(log()).not.toMatch(/secret|sesame|guess/);
  });

  test("ends with SIGTERM, and with status 0", async () => {
    const { status, log } = serve(
      "-m",
      model,
      "--port",
      "0",
      "--threads",
      "1",
      "--ctx",
      "256",
      "--drain",
      "1",
    );
    await vi.waitFor(() => {
      expect(log()).toContain("kind=load");
    }, 5000);
    process.emit("SIGTERM");
    expect(await status).toBe(0);
    expect(process.listenerCount("SIGTERM")).toBe(0);
  });

  test.each([
    [["--config", "x.json", "-m", "y.gguf"], 2, "-m"],
    [["--tls-cert", "x.pem"], 2, "--tls-key"],
    [["--port", "70000"], 2, "--port"],
    [["--request-log", "x"], 2, "--log-consent"],
    [["--log-texts"], 2, "--request-log"],
    [["--canary-share", "0.1", "-m", model], 2, "--canary"],
    [["--canary-share", "0.9", "--canary", model, "-m", model], 2, "--canary-share"],
    [["--canary", "/nowhere/model.gguf", "-m", model, "--ctx", "256"], 1, "AIR_ERR_IO"],
    [["--golden", "0"], 2, "--golden"],
    [["--api-key-file", "/nowhere/keys"], 1, "AIR_ERR_IO"],
    [["-m", "/nowhere/model.gguf"], 1, "AIR_ERR_IO"],
    [["-m", model, "--host", "203.0.113.1", "--ctx", "256"], 1, "AIR_ERR_IO"],
  ])("refuses %j with status %d", async (args, expected, word) => {
    const { status, log } = serve(...args);
    expect(await status).toBe(expected);
    expect(log()).toContain(word);
  });
});

test("a line of the log for people has the time, the level, the message and the fields", () => {
  const line = JSON.stringify({
    level: 30,
    time: 0,
    pid: 1,
    hostname: "h",
    msg: "request",
    route: "/x",
    ms: 2,
  });
  expect(readableLine(line)).toBe("00:00:00 info request route=/x ms=2\n");
});
