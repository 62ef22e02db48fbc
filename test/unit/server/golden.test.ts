import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterAll, afterEach, describe, expect, test, vi } from "vitest";

import { AirError } from "../../../lib/errors/air-error.js";
import { GoldenBaselines } from "../../../lib/server/golden-baselines.js";
import { GoldenCheck } from "../../../lib/server/golden-check.js";
import { type AirServer, createServer } from "../../../lib/server/server.js";
import { FakeRuntime, hang } from "../../support/fake-runtime.js";

const folder = mkdtempSync(path.join(tmpdir(), "air-golden-"));
let server: AirServer | undefined;
afterEach(() => server?.close());
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const settings = { prompt: "one, two,", maxTokens: 24, timeoutMs: 1000 };
const busy = new AirError("AIR_ERR_OVERLOADED", "expected fewer requests but received more");
const broken = new AirError("AIR_ERR_INTERNAL", "expected a step but received a failure");

/** A check of a model that gives these answers, in this order; the last one stays. */
async function checkOf(script: FakeRuntime["script"], file?: string) {
  const runtime = new FakeRuntime();
  runtime.script = script;
  const check = new GoldenCheck(runtime, await GoldenBaselines.open(file), settings);
  return { runtime, check, report: () => check.reports["small"] };
}

describe("the golden prompt", () => {
  test("is answered as before, without what was computed before", async () => {
    const { runtime, check, report } = await checkOf([["three"]]);
    expect(report()?.state).toBe("unchecked");
    await check.run();
    await check.run();
    expect(report()).toMatchObject({ state: "healthy", checks: 2, divergences: 0, reloads: 0 });
    expect(check.problems).toEqual([]);
    const [first, second] = runtime.requests.map(({ options }) => options);
    expect(first).toMatchObject({ tier: "small", temperature: 0, speculation: "off", maxTokens: 24 });
    expect(first?.cacheSalt).not.toBe(second?.cacheSalt);
    expect(check.reports["large"]?.state).toBe("unchecked"); // it is not loaded, and is not loaded for this
  });

  test.each([
    ["another token", [["three"], ["thrae"], ["three"]]],
    ["fewer tokens", [["three"], ["thre"], ["three"]]],
    ["more tokens", [["three"], ["three!"], ["three"]]],
    ["an error of the model", [["three"], [broken], ["three"]]],
  ])("has the model loaded again after %s, once", async (_, script) => {
    const { runtime, check, report } = await checkOf(script);
    await check.run();
    await check.run();
    expect(runtime.reloads).toEqual(["small"]);
    expect(report()).toMatchObject({ state: "healthy", divergences: 1, reloads: 1 });
    expect(check.problems).toEqual([]);
  });

  test("makes a model unhealthy for good that differs after it was loaded again", async () => {
    const { runtime, check, report } = await checkOf([["three"], ["four"], ["five"], ["three"]]);
    for (let round = 0; round < 4; round += 1) await check.run();
    expect(runtime.reloads).toEqual(["small"]);
    expect(report()).toMatchObject({ state: "unhealthy", divergences: 2, reloads: 1 });
    expect(check.problems.join()).toMatch(/small no longer says .* differs from token 0 on/);
  });

  test("makes a model unhealthy that cannot be loaded again", async () => {
    const { runtime, check } = await checkOf([["three"], ["four"]]);
    runtime.reload = () => Promise.reject(new AirError("AIR_ERR_IO", "expected a file but received none"));
    await check.run();
    await check.run();
    expect(check.problems.join()).toContain("AIR_ERR_IO");
  });

  test("says nothing where the model had no time", async () => {
    const { runtime, check, report } = await checkOf([["three"], [busy], ["three"]]);
    for (let round = 0; round < 3; round += 1) await check.run();
    expect(runtime.reloads).toEqual([]);
    expect(report()).toMatchObject({ state: "healthy", checks: 2 });
  });

  test("keeps its baseline in a file, which another process compares with", async () => {
    const file = path.join(folder, "baselines.json");
    await (await checkOf([["three"]], file)).check.run();
    const text = readFileSync(file, "utf8");
    const { runtime, check } = await checkOf([["four"]], file);
    await check.run();
    expect(runtime.reloads).toEqual(["small"]);
    expect(check.problems).toHaveLength(1);
    expect(readFileSync(file, "utf8")).toBe(text);
    writeFileSync(file, "{}");
    await expect(GoldenBaselines.open(file)).rejects.toMatchObject({ code: "AIR_ERR_CONFIG" });
    await expect(GoldenBaselines.open(folder)).rejects.toMatchObject({ code: "AIR_ERR_IO" });
  });

  test("ends with the server", async () => {
    const { check, runtime } = await checkOf([[hang]]);
    const run = check.run();
    await vi.waitFor(() => {
      expect(runtime.requests).toHaveLength(1);
    });
    await check.close();
    await run;
    expect(await runtime.requests[0]?.cancelled).toBe(true);
  });
});

test("a server with an unhealthy model is alive, says so in words, and is not ready", async () => {
  const runtime = new FakeRuntime();
  runtime.script = [["three"], ["four"], ["five"]];
  server = createServer(runtime, { golden: { intervalMs: 100 } });
  await server.ready();
  expect((await server.inject("/ready")).statusCode).toBe(200);
  await vi.waitFor(async () => {
    expect((await server?.inject("/ready"))?.statusCode).toBe(503);
  });
  await vi.waitFor(() => {
    expect(runtime.requests).toHaveLength(3);
  });
  const ready = await server.inject("/ready");
  expect(ready.json()).toMatchObject({ error: { message: expect.stringContaining("small no longer says") } });
  const health = await server.inject("/health");
  expect(health.statusCode).toBe(200);
  await vi.waitFor(async () => {
    expect((await server?.inject("/health"))?.json()).toMatchObject({
      status: "unhealthy",
      golden: { small: { state: "unhealthy", reloads: 1 } },
    });
  });
  const metrics = (await server.inject("/metrics")).body;
  expect(metrics).toContain('air_golden_healthy{tier="small"} 0');
  expect(metrics).toContain('air_golden_reloads{tier="small"} 1');
});
