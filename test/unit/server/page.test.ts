import { once } from "node:events";
import { readdirSync } from "node:fs";
import { get as httpGet, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";

import { afterEach, describe, expect, test } from "vitest";

import { hashApiKey } from "../../../lib/server/api-keys.js";
import { LiveFeed } from "../../../lib/server/live-feed.js";
import { liveReport } from "../../../lib/server/live.js";
import { type AirServer, createServer } from "../../../lib/server/server.js";
import type { ServerOptions } from "../../../lib/server/server-options.js";
import { FakeRuntime } from "../../support/fake-runtime.js";

const folder = fileURLToPath(new URL("../../../lib/server/page/", import.meta.url));
const names = readdirSync(folder).filter((name) => /[.](html|css|js|svg)$/.test(name));

let server: AirServer | undefined;
afterEach(() => server?.close());

function start(options: ServerOptions = {}) {
  const runtime = new FakeRuntime();
  server = createServer(runtime, options);
  return { runtime, server };
}

/** Reads the stream of reports of a server that listens. */
async function watch(target: AirServer): Promise<IncomingMessage> {
  await target.listen({ host: "127.0.0.1", port: 0 });
  const { port } = target.server.address() as AddressInfo;
  const request = httpGet({ port, path: "/air/live", headers: { accept: "text/event-stream" } });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return response.setEncoding("utf8");
}

describe("the page", () => {
  test("is served with its files, under a policy that allows nothing else", async () => {
    const { server: target } = start();
    expect(names).toContain("app.js");
    for (const url of ["/", ...names.map((name) => `/air/page/${name}`)]) {
      const { statusCode, headers, body } = await target.inject(url);
      expect(statusCode, url).toBe(200);
      expect(headers["content-security-policy"]).toMatch(/^default-src 'none'; script-src 'self';/);
      expect(headers["content-security-policy"]).not.toMatch(/unsafe|data:|https?:|\*/);
      expect(headers["x-content-type-options"]).toBe("nosniff");
      expect(body).not.toMatch(/(src|href|from|import)\s*[=(]?\s*["'(]*https?:/);
    }
    expect((await target.inject("/")).headers["content-type"]).toBe("text/html; charset=utf-8");
    expect((await target.inject("/air/page/app.js")).headers["content-type"]).toMatch(/^text\/javascript/);
  });

  test("is not sent again to those who have it", async () => {
    const { server: target } = start();
    const { headers } = await target.inject("/");
    const again = await target.inject({ url: "/", headers: { "if-none-match": String(headers["etag"]) } });
    expect([again.statusCode, again.body]).toEqual([304, ""]);
    const other = await target.inject({ url: "/", headers: { "if-none-match": '"other"' } });
    expect(other.statusCode).toBe(200);
  });

  test("gives away no other file", async () => {
    const { server: target } = start();
    for (const file of [
      "tsconfig.json",
      "wire.d.ts",
      "..%2fserver.ts",
      "..%2f..%2f..%2fpackage.json",
      "%2e%2e",
    ])
      expect((await target.inject(`/air/page/${file}`)).statusCode, file).toBe(404);
  });

  test("can be left out", async () => {
    const { server: target } = start({ page: false });
    for (const url of ["/", "/air/page/app.js", "/air/live"])
      expect((await target.inject(url)).statusCode).toBe(404);
    expect((await target.inject("/health")).statusCode).toBe(200);
  });

  test("needs no key, but its figures do", async () => {
    const { server: target } = start({ apiKeys: [{ hash: hashApiKey("k"), name: "k" }] });
    expect((await target.inject("/")).statusCode).toBe(200);
    expect((await target.inject("/air/page/app.js")).statusCode).toBe(200);
    expect((await target.inject("/air/live")).statusCode).toBe(401);
    const withKey = await target.inject({ url: "/air/live", headers: { authorization: "Bearer k" } });
    expect(withKey.statusCode).toBe(200);
  });
});

describe("GET /air/live", () => {
  test("tells of tiers, pages by class, prefixes and the machine", async () => {
    const { runtime, server: target } = start();
    runtime.machine = {
      ...{ memory: 0.25, heat: 0.5, isThrottling: false, watts: 7.5 },
      hottest: { name: "cpu-thermal", celsius: 61.5, limitCelsius: 85 },
    };
    const { body, headers } = await target.inject("/air/live");
    expect(headers["cache-control"]).toBe("no-store");
    expect(JSON.parse(body)).toMatchObject({
      requests: { answered: 0, failed: 0, escalations: 3, fallbacks: 1 },
      machine: {
        ...{ memory: 0.25, is_throttling: false, watts: 7.5 },
        temperature: { zone: "cpu-thermal", celsius: 61.5, limit_celsius: 85 },
      },
      tiers: [
        {
          ...{ name: "small", kind: "local", is_loaded: true, active: 1, waiting: 2, computed_tokens: 40 },
          pages: [{ class: "full", usable: 4, used: 1, cached: 2 }],
          prefix_cache: { lookups: 4, hits: 1, hit_tokens: 16 },
        },
        { name: "large", kind: "local", is_loaded: false },
        { name: "remote", kind: "remote" },
      ],
    });
  });

  test("says what it does not know", () => {
    const { runtime } = start();
    runtime.isLoaded = false;
    const { machine, tiers } = liveReport(runtime);
    expect(machine).toMatchObject({ memory: null, temperature: null, watts: null, is_throttling: null });
    expect(machine.rss_bytes).toBeGreaterThan(2 ** 20);
    for (const tier of tiers) expect(tier).not.toHaveProperty("pages");
  });

  test("goes on as events, and ends when the server does", async () => {
    const { server: target } = start({ drainMs: 20_000 });
    const response = await watch(target);
    const events: string[] = [];
    response.on("data", (text: string) => events.push(text));
    await new Promise((resolve) => setTimeout(resolve, 1300));
    expect(events.length).toBe(2);
    for (const event of events) expect(event).toMatch(/^data: {"uptime_seconds":[\d.]+,.*}\n\n$/);
    const startedMs = performance.now();
    await Promise.all([target.drain(), once(response, "end")]);
    expect(performance.now() - startedMs).toBeLessThan(2000);
  });
});

describe("the feed of reports", () => {
  test("does nothing without readers, and takes no more than it says", async () => {
    let reports = 0;
    const { runtime } = start();
    const feed = new LiveFeed(() => {
      reports += 1;
      return liveReport(runtime);
    });
    const readers = Array.from({ length: 64 }, () => feed.open());
    expect(() => feed.open()).toThrow(/at most 64 readers/);
    for (const reader of readers) reader.destroy();
    await Promise.all(readers.map((reader) => once(reader, "close")));
    expect(feed.readers).toBe(0);
    const before = reports;
    await new Promise((resolve) => setTimeout(resolve, 1200));
    expect(reports).toBe(before);
  });

  test("leaves reports out for a reader who takes none", () => {
    const { runtime } = start();
    const feed = new LiveFeed(() => ({ ...liveReport(runtime), tiers: Array(2000).fill(null) as never }));
    const reader = feed.open();
    for (let report = 0; report < 100; report += 1) feed.tell();
    expect(reader.readableLength).toBeLessThan(128 * 1024);
    feed.close();
  });
});
