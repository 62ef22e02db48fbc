import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterAll, afterEach, describe, expect, test } from "vitest";

import { LogFiles } from "../../../lib/server/log-files.js";
import { readLog, RequestLog } from "../../../lib/server/request-log.js";
import { type AirServer, createServer } from "../../../lib/server/server.js";
import type { ServerOptions } from "../../../lib/server/server-options.js";
import { FakeRuntime } from "../../support/fake-runtime.js";

const root = mkdtempSync(path.join(tmpdir(), "air-log-"));
let made = 0;
const newFolder = (): string => path.join(root, String((made += 1)));
let server: AirServer | undefined;
afterEach(() => server?.close());
afterAll(() => {
  rmSync(root, { recursive: true });
});

const hour = 3_600_000;
const secret = { messages: [{ role: "user", content: "my secret is 42" }] };

/** Serves one request with these options. */
async function ask(options: ServerOptions, script: FakeRuntime["script"] = [["a secret", " answer"]]) {
  const runtime = new FakeRuntime();
  runtime.script = script;
  server = createServer(runtime, options);
  const response = await server.inject({ method: "POST", url: "/v1/chat/completions", payload: secret });
  await server.close();
  return response;
}

async function linesOf(directory: string): Promise<Record<string, unknown>[]> {
  const lines = [];
  for await (const line of readLog(directory)) lines.push(JSON.parse(line) as Record<string, unknown>);
  return lines;
}

describe("a server", () => {
  test("writes nothing down unless it is told to, with consent", async () => {
    const directory = newFolder();
    await ask({});
    expect(existsSync(directory)).toBe(false);
    const without = { requestLog: { directory } } as unknown as ServerOptions;
    expect(() => createServer(new FakeRuntime(), without)).toThrow(/agreed/);
    const refused = { requestLog: { directory, consent: false } } as unknown as ServerOptions;
    expect(() => createServer(new FakeRuntime(), refused)).toThrow(/agreed/);
  });

  test("writes down what came of a request, and how long texts are, for this user's eyes only", async () => {
    const directory = newFolder();
    const { headers } = await ask({ requestLog: { directory, consent: true } });
    expect(await linesOf(directory)).toEqual([
      {
        time: expect.stringMatching(/^\d{4}-.*Z$/),
        ...{ id: headers["x-request-id"], route: "/v1/chat/completions", key: null, ms: expect.any(Number) },
        ...{ tier: "small", reason: expect.any(String), promptTokens: 7, reusedTokens: 2, seed: 5 },
        ...{ completionTokens: 15, finishReason: "stop", firstTokenMs: 1 },
        input: [{ role: "user", content: { characters: 15 } }],
        output: { characters: 15 },
      },
    ]);
    const [file = ""] = readdirSync(directory);
    expect(readFileSync(path.join(directory, file), "utf8")).not.toContain("secret");
    expect(statSync(path.join(directory, file)).mode & 0o777).toBe(0o600);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
  });

  test("writes texts down where that is wanted, and errors by their code", async () => {
    const directory = newFolder();
    await ask({ requestLog: { directory, consent: true, texts: true } });
    await ask({ requestLog: { directory, consent: true } }, [[new Error("secret")]]);
    const [first, second] = await linesOf(directory);
    expect(first).toMatchObject({ input: secret.messages, output: "a secret answer" });
    expect(second).toMatchObject({ error: "internal_error", output: { characters: 0 } });
  });

  test("goes on serving when the log cannot be written, and counts what is lost", async () => {
    const blocked = newFolder();
    writeFileSync(blocked, "a file where the directory should be");
    const runtime = new FakeRuntime();
    server = createServer(runtime, { requestLog: { directory: blocked, consent: true } });
    for (let round = 0; round < 3; round += 1) {
      const response = await server.inject({ method: "POST", url: "/v1/chat/completions", payload: secret });
      expect(response.statusCode).toBe(200);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect((await server.inject("/metrics")).body).toContain('air_request_log_records{fate="dropped"} 3');
  });
});

/** A log in a folder, with a clock and a disk that a test sets. */
function logWith(limits: { readonly maxBytes?: number } = {}) {
  const directory = newFolder();
  const world = { now: 1_800_000_000_000, isFull: false };
  const disk = {
    append: async (file: string, text: string): Promise<void> => {
      const before = existsSync(file) ? readFileSync(file, "utf8") : "";
      // A disk that is full takes a part of what is written.
      writeFileSync(file, before + (world.isFull ? text.slice(0, 10) : text));
      if (world.isFull) throw Object.assign(new Error("no space"), { code: "ENOSPC" });
      return Promise.resolve();
    },
    remove: async (file: string): Promise<void> => {
      rmSync(file);
      return Promise.resolve();
    },
  };
  const files = new LogFiles(directory, limits, { disk, now: () => world.now });
  const log = new RequestLog({ directory, consent: true }, undefined, files);
  const add = async (id: string): Promise<void> => {
    log.add({ id, route: "/v1/completions", key: null, ms: 1 }, { input: "x", output: "y" });
    await log.flush();
  };
  const ids = async () => (await linesOf(directory)).map(({ id }) => id);
  return { directory, world, log, add, ids };
}

describe("the request log", () => {
  test("keeps a line for a day at most", async () => {
    const { world, add, ids, log } = logWith();
    for (let hours = 0; hours < 30; hours += 1) {
      await add(String(hours));
      world.now += hour;
    }
    const kept = await ids();
    expect(kept.at(-1)).toBe("29");
    expect(kept.length).toBeGreaterThanOrEqual(23);
    expect(kept.length).toBeLessThanOrEqual(25);
    world.now += 25 * hour;
    await add("late");
    expect(await ids()).toEqual(["late"]);
    await log.close();
  });

  test("never has more bytes than it may, and loses the oldest first", async () => {
    const { directory, add, ids, log } = logWith({ maxBytes: 4096 });
    for (let index = 0; index < 100; index += 1) {
      await add(String(index));
      const sizes = readdirSync(directory).map((name) => statSync(path.join(directory, name)).size);
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(4096);
    }
    const kept = await ids();
    expect(kept.length).toBeGreaterThan(10);
    expect(kept).toEqual(kept.map((_, index) => String(100 - kept.length + index)));
    await log.close();
  });

  test("goes on after a disk was full, and what was cut off is left out", async () => {
    const { world, add, ids, log } = logWith();
    await add("before");
    world.isFull = true;
    await add("lost");
    await add("lost, too");
    world.isFull = false;
    await add("after");
    expect(await ids()).toEqual(["before", "after"]);
    expect(log.stats).toMatchObject({ written: 2, dropped: 2 });
    await log.close();
  });

  test("stays in order and within its day when the clock jumps", async () => {
    const { world, add, ids, log } = logWith();
    await add("now");
    world.now -= 2 * hour;
    await add("earlier");
    expect(await ids()).toEqual(["now", "earlier"]);
    world.now -= 72 * hour; // what is left from the future would never grow old
    await add("days earlier");
    expect(await ids()).toEqual(["days earlier"]);
    world.now += 100 * hour;
    await add("days later");
    expect(await ids()).toEqual(["days later"]);
    await log.close();
  });

  test("leaves alone what is not its own", async () => {
    const { directory, world, add, log } = logWith();
    await add("1");
    writeFileSync(path.join(directory, "notes.txt"), "mine");
    world.now += 100 * hour;
    await add("2");
    expect(readFileSync(path.join(directory, "notes.txt"), "utf8")).toBe("mine");
    await log.close();
  });
});
