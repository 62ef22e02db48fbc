/** What happens to servers and their clients when processes end, files change and clocks jump. */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterAll, afterEach, describe, expect, test, vi } from "vitest";

import { readLog } from "../../lib/server/request-log.js";
import { createServer } from "../../lib/server/server.js";
import { AirRuntime } from "../../lib/tiers/air-runtime.js";
import {
  canMount,
  chatRequest,
  startServe,
  startServeWithSmallDisk,
  streamedText,
} from "../support/serve-process.js";
import {
  asUser,
  calmSensors,
  createRuntime,
  easyPrompt,
  hardPrompt,
  largeFile,
  plainText,
  readReply,
  smallFile,
  until,
} from "../support/tier-runtime.js";

const folder = mkdtempSync(path.join(tmpdir(), "air-chaos-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const small = ["--ctx", "512", "--port"];
/** Long enough to be interrupted. */
const endless = { max_tokens: 400, temperature: 1, seed: 5, stream: true, logit_bias: {} };
/** More of it, for what is never to end. */
const heavy = { ...endless, n: 8 };
const story = "Tell me a long story about a lamp.";

/** Reads a stream until it has some text. */
async function beginReading(response: Response) {
  const reader = (response.body as ReadableStream<Uint8Array> | null)?.getReader();
  const decoder = new TextDecoder();
  let body = "";
  while (streamedText(body).length < 4) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done) throw new Error(`expected text but received ${body}`);
    body += decoder.decode(value, { stream: true });
  }
  const rest = async (): Promise<string> => {
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (done) return body;
      body += decoder.decode(value, { stream: true });
    }
  };
  return { rest };
}

describe("a server in another process", () => {
  test("is a remote tier: routed to, streamed from, and done without when it is killed", async () => {
    await using far = await startServe("-m", largeFile, ...small, "0");
    await using runtime = await createRuntime({
      tiers: [
        { name: "near", model: smallFile, contextTokens: 512, threads: 1 },
        { name: "far", url: `${far.url}/v1`, model: "auto", retries: 0 },
      ],
    });
    const options = { maxTokens: 24 };
    const hard = await readReply(runtime.generate(asUser(hardPrompt), options));
    expect(hard.result.tier).toBe("far");
    expect(hard.streamed).toBe(await plainText(largeFile, hardPrompt, options));
    expect((await runtime.generate(asUser(easyPrompt), options).result).tier).toBe("near");
    const cut = runtime.generate(asUser(hardPrompt), { maxTokens: 400, temperature: 1.5, seed: 3 });
    const read = async (): Promise<void> => {
      for await (const { text } of cut) if (text !== "") far.kill("SIGKILL");
    };
    // What was said cannot be taken back, so nobody else goes on.
    await expect(read()).rejects.toMatchObject({ code: "AIR_ERR_REMOTE" });
  });

  test("that is killed has its requests answered nearby", async () => {
    await using far = await startServe("-m", largeFile, ...small, "0");
    await using runtime = await createRuntime({
      tiers: [
        { name: "near", model: smallFile, contextTokens: 512, threads: 1 },
        { name: "far", url: `${far.url}/v1`, model: "auto", retries: 0 },
      ],
    });
    far.kill("SIGKILL");
    expect(await far.ended).toBe("SIGKILL");
    for (let round = 0; round < 3; round += 1) {
      const { tier, attempts } = await runtime.generate(asUser(hardPrompt), { maxTokens: 8 }).result;
      expect(tier).toBe("near");
      if (round === 0) expect(attempts[0]).toMatchObject({ tier: "far", outcome: "failed" });
    }
  });

  test("ends what was begun on SIGTERM, takes nothing new, and exits well", async () => {
    await using server = await startServe("-m", smallFile, ...small, "0");
    const reading = await beginReading(
      await fetch(`${server.url}/v1/chat/completions`, chatRequest(story, endless)),
    );
    server.kill("SIGTERM");
    await until(() => server.log().includes("finishing"));
    await vi.waitFor(() => expect(fetch(`${server.url}/health`)).rejects.toThrow());
    const body = await reading.rest();
    expect(body).toMatch(/"finish_reason":"(stop|length)"/);
    expect(body.trimEnd()).toMatch(/\[DONE\]$/);
    expect(await server.ended).toBe(0);
  });

  test("killed in the middle of a stream says the same after it was started again", async () => {
    const directory = path.join(folder, "log");
    const goldenFile = path.join(folder, "golden.json");
    const args = ["-m", smallFile, "--golden", "1", "--golden-file", goldenFile, ...small];
    const logged = ["--request-log", directory, "--log-consent"];
    const first = await startServe(...args, "0", ...logged);
    const ask = async (url: string): Promise<string> =>
      streamedText(await (await fetch(`${url}/v1/chat/completions`, chatRequest(story, endless))).text());
    const expected = await ask(first.url);
    await vi.waitFor(() => {
      expect(readFileSync(goldenFile, "utf8")).toContain("baselines");
    }, 10_000);
    const reading = await beginReading(
      await fetch(`${first.url}/v1/chat/completions`, chatRequest(story, heavy)),
    );
    first.kill("SIGKILL");
    await expect(reading.rest()).rejects.toThrow();
    expect(await first.ended).toBe("SIGKILL");
    await using second = await startServe(...args, String(first.port), ...logged);
    expect(second.url).toBe(first.url);
    expect(await ask(second.url)).toBe(expected);
    await vi.waitFor(async () => {
      const health = (await (await fetch(`${second.url}/health`)).json()) as {
        golden: Record<string, object>;
      };
      expect(Object.values(health.golden)[0]).toMatchObject({ state: "healthy", divergences: 0 });
    }, 10_000);
    second.kill("SIGTERM");
    expect(await second.ended).toBe(0);
    let lines = 0;
    for await (const line of readLog(directory)) {
      expect(line).not.toContain("lamp");
      lines += 1;
    }
    expect(lines).toBeGreaterThanOrEqual(2);
  });

  test.runIf(canMount)(
    "serves on when the disk of its request log is full, and writes again when there is room",
    async () => {
      const directory = path.join(folder, "small-disk");
      mkdirSync(directory);
      const logged = ["--request-log", path.join(directory, "log"), "--log-consent", "--log-texts"];
      await using server = await startServeWithSmallDisk(
        directory,
        "-m",
        smallFile,
        ...small,
        "0",
        ...logged,
      );
      const records = async (fate: string): Promise<number> => {
        const metrics = await (await fetch(`${server.url}/metrics`)).text();
        return Number(new RegExp(`air_request_log_records\\{fate="${fate}"\\} (\\d+)`).exec(metrics)?.[1]);
      };
      const ask = async (content: string): Promise<string> => {
        const response = await fetch(`${server.url}/v1/chat/completions`, chatRequest(content));
        expect(response.status).toBe(200);
        const { choices } = (await response.json()) as { choices: { message: { content: string } }[] };
        return choices[0]?.message.content ?? "";
      };
      const wordy = "apple ".repeat(150);
      const expected = await ask(wordy);
      await vi.waitFor(async () => {
        expect(await records("written")).toBe(1);
      });
      const ballast = path.join("/proc", String(server.pid), "root", directory, "ballast");
      expect(() => {
        writeFileSync(ballast, Buffer.alloc(2 ** 20));
      }).toThrow(/ENOSPC/);
      // The page of memory that the log's last line is in has room for two more at most.
      for (let round = 0; round < 8; round += 1) expect(await ask(wordy)).toBe(expected);
      await vi.waitFor(async () => {
        expect(await records("dropped")).toBeGreaterThan(4);
      });
      expect(server.log()).toContain("ENOSPC");
      rmSync(ballast);
      const before = await records("written");
      expect(await ask(wordy)).toBe(expected);
      await vi.waitFor(async () => {
        expect(await records("written")).toBeGreaterThan(before);
      });
    },
  );

  test("goes on with the old model when its file is replaced, and has the new one after a restart", async () => {
    const model = path.join(folder, "model.gguf");
    copyFileSync(smallFile, model);
    const answerOf = async (url: string) =>
      (await (await fetch(`${url}/v1/chat/completions`, chatRequest(easyPrompt))).json()) as {
        readonly choices: readonly { readonly message: { readonly content: string } }[];
        readonly system_fingerprint: string;
      };
    await using first = await startServe("-m", model, ...small, "0");
    const before = await answerOf(first.url);
    copyFileSync(largeFile, `${model}.new`);
    renameSync(`${model}.new`, model);
    const after = await answerOf(first.url);
    expect(after.choices[0]?.message.content).toBe(before.choices[0]?.message.content);
    expect(after.system_fingerprint).toBe(before.system_fingerprint);
    first.kill("SIGTERM");
    expect(await first.ended).toBe(0);
    await using second = await startServe("-m", model, ...small, "0");
    const renewed = await answerOf(second.url);
    expect(renewed.system_fingerprint).not.toBe(before.system_fingerprint);
    expect(renewed.choices[0]?.message.content).toBe(
      await plainText(largeFile, easyPrompt, { maxTokens: 24 }),
    );
  });

  test("says so when its file is written over in place, and has the new one after a golden check", async () => {
    const model = path.join(folder, "overwritten.gguf");
    copyFileSync(smallFile, model);
    await using server = await startServe("-m", model, "--golden", "1", ...small, "0");
    const ask = async () => {
      const response = await fetch(`${server.url}/v1/chat/completions`, chatRequest(easyPrompt));
      return { status: response.status, body: (await response.json()) as object };
    };
    expect((await ask()).status).toBe(200);
    const old = server.log().length;
    writeFileSync(model, readFileSync(largeFile));
    const { status, body } = await ask();
    if (!server.log().slice(old).includes("loaded again")) {
      expect(status).toBe(500);
      expect(body).toMatchObject({ error: { type: "server_error", code: "io_error" } });
    }
    await vi.waitFor(
      async () => {
        expect((await ask()).status).toBe(200);
      },
      { timeout: 20_000, interval: 50 },
    );
    const content = await plainText(largeFile, easyPrompt, { maxTokens: 24 });
    expect((await ask()).body).toMatchObject({ choices: [{ message: { content } }] });
    expect((await fetch(`${server.url}/ready`)).status).toBe(200);
  });
});

describe("a clock that jumps", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test("by days, either way, locks nobody out, ends no answer and spoils no figure", async () => {
    await using runtime = await AirRuntime.create(
      { tiers: [{ name: "tiny", model: smallFile, contextTokens: 512, threads: 1, preload: true }] },
      { sensors: calmSensors },
    );
    const server = createServer(runtime, {
      rateLimit: { requests: 6, windowMs: 1000 },
      golden: { intervalMs: 200 },
    });
    await server.listen({ host: "127.0.0.1", port: 0 });
    const url = `http://127.0.0.1:${(server.server.address() as { readonly port: number }).port}`;
    vi.useFakeTimers({ toFake: ["Date"] });
    const day = 86_400_000;
    const start = Date.now();
    const texts: string[] = [];
    for (const jump of [0, day, -day, 400 * day, 0]) {
      vi.setSystemTime(start);
      const request = chatRequest(easyPrompt, { stream: true, air: { timeout_ms: 20_000 } });
      const reading = await beginReading(await fetch(`${url}/v1/chat/completions`, request));
      vi.setSystemTime(start + jump);
      texts.push(streamedText(await reading.rest()));
    }
    expect(new Set(texts).size).toBe(1);
    vi.setSystemTime(start - day);
    const statuses: number[] = [];
    for (let round = 0; round < 8; round += 1) {
      const response = await fetch(`${url}/v1/models`);
      statuses.push(response.status);
      if (response.status === 429) expect(Number(response.headers.get("retry-after"))).toBeLessThanOrEqual(1);
      await response.text();
    }
    expect(statuses).toContain(429);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    expect((await fetch(`${url}/v1/models`)).status).toBe(200);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const sum = /air_request_seconds_sum\{route="\/v1\/chat\/completions"\} ([\d.e+-]+)/.exec(metrics)?.[1];
    expect(Number(sum)).toBeGreaterThan(0);
    expect(Number(sum)).toBeLessThan(60);
    expect((await fetch(`${url}/ready`)).status).toBe(200);
    await server.drain(1000);
  });
});
