import { afterEach, describe, expect, test } from "vitest";

import { AirError } from "../../../lib/errors/air-error.js";
import { Canary, type CanaryOptions, placeOf } from "../../../lib/server/canary.js";
import { reasonToRollBack, VersionTally } from "../../../lib/server/canary-figures.js";
import { type AirServer, createServer } from "../../../lib/server/server.js";
import { asUser } from "../../support/tier-runtime.js";
import { FakeRuntime, hang } from "../../support/fake-runtime.js";

let server: AirServer | undefined;
afterEach(() => server?.close());

const broken = new AirError("AIR_ERR_INTERNAL", "expected a step but received a failure");
const thresholds = { minRequests: 10, maxLogprobDrop: 0.2, maxLatencyRatio: 1.5, maxFailureRate: 0.05 };

function versions(options: Partial<CanaryOptions> = {}) {
  const current = new FakeRuntime();
  const candidate = new FakeRuntime();
  candidate.script = [["HELLO", " WORLD"]];
  const reasons: string[] = [];
  const onRollback = (reason: string) => reasons.push(reason);
  const canary = new Canary(current, { runtime: candidate, share: 0.2, onRollback, ...options });
  return { current, candidate, canary, reasons };
}

const prompts = Array.from({ length: 400 }, (_, index) => `prompt ${index}`);

/** A tally of as many answers around these figures. */
function tallyOf(count: number, logprob: number, tokenMs: number, failures = 0): VersionTally {
  const tally = new VersionTally();
  for (let index = 0; index < count; index += 1) {
    const noise = (index % 5) / 50 - 0.04;
    tally.answered({ meanLogprob: logprob + noise, firstTokenMs: 10, tokenMs: tokenMs * (1 + noise) });
  }
  for (let index = 0; index < failures; index += 1) tally.failed();
  return tally;
}

describe("the share of a canary", () => {
  test("is about what was asked, and the same for the same request", () => {
    const { canary } = versions();
    const lanes = prompts.map((prompt) => canary.laneOf(prompt, {}));
    expect(prompts.map((prompt) => canary.laneOf(prompt, {}))).toEqual(lanes);
    for (const lane of ["candidate", "control"]) {
      const part = lanes.filter((other) => other === lane).length / lanes.length;
      expect(part).toBeGreaterThan(0.13);
      expect(part).toBeLessThan(0.27);
    }
  });

  test("keeps conversations together, and depends on who asks", () => {
    const first = asUser("hello");
    const later = [...first, { role: "assistant" as const, content: "hi" }, ...asUser("and now?")];
    expect(placeOf(later, "a")).toBe(placeOf(first, "a"));
    expect(placeOf(first, "b")).not.toBe(placeOf(first, "a"));
    expect(placeOf(asUser("bye"), "a")).not.toBe(placeOf(first, "a"));
  });

  test("has no request for a tier that the candidate lacks", () => {
    const { canary } = versions();
    const lanes = prompts.map((prompt) => canary.laneOf(prompt, { tier: "other" }));
    expect(new Set(lanes)).toEqual(new Set(["neither"]));
  });
});

describe("a canary", () => {
  test("answers its share, measures as many others, and shows nobody what it measured", async () => {
    const { canary, candidate, current } = versions();
    for (const prompt of prompts) {
      const lane = canary.laneOf(prompt, {});
      const reply = canary.generate(prompt, {});
      const chunks = [];
      for await (const chunk of reply) chunks.push(chunk);
      const result = await reply.result;
      expect(result.text).toBe(lane === "candidate" ? "HELLO WORLD" : "hello world");
      expect(reply.runtime()).toBe(lane === "candidate" ? candidate : current);
      expect(result.logprobs).toBeUndefined();
      expect(chunks.every(({ logprobs }) => logprobs === undefined)).toBe(true);
    }
    const { report } = canary;
    expect(report).toMatchObject({ state: "running", share: 0.2, reason: null });
    expect(report.candidate.requests).toBe(candidate.requests.length);
    expect(report.candidate).toMatchObject({ meanLogprob: -0.5, failures: 0 });
    expect(report.current.requests).toBe(
      current.requests.filter(({ options }) => options.logprobs === 0).length,
    );
  });

  test("keeps the logprobs that were asked for", async () => {
    const { canary } = versions({ share: 0.5 });
    const prompt = prompts.find((text) => canary.laneOf(text, {}) === "candidate") ?? "";
    const { logprobs } = await canary.generate(prompt, { logprobs: 2 }).result;
    expect(logprobs?.[0]?.top).toHaveLength(2);
  });

  test("that fails before it says anything has the current version answer, and is taken back", async () => {
    const { canary, candidate, current, reasons } = versions({ share: 0.5, minRequests: 10 });
    candidate.script = [[broken]];
    for (const prompt of prompts.slice(0, 60)) {
      expect((await canary.generate(prompt, {}).result).text).toBe("hello world");
    }
    expect(reasons).toHaveLength(1);
    expect(candidate.requests).toHaveLength(5);
    expect(current.requests).toHaveLength(60);
    expect(canary.report).toMatchObject({ state: "rolled_back", share: 0, reason: "5 of 5 requests failed" });
  });

  test("that fails after it said something fails the answer", async () => {
    const { canary, candidate } = versions({ share: 0.5 });
    candidate.script = [["half", broken]];
    const prompt = prompts.find((text) => canary.laneOf(text, {}) === "candidate") ?? "";
    await expect(canary.generate(prompt, {}).result).rejects.toBe(broken);
  });

  test("ends for a client who leaves, and counts that for nothing", async () => {
    const { canary, candidate, current } = versions({ share: 0.5 });
    candidate.script = [["a", hang]];
    const prompt = prompts.find((text) => canary.laneOf(text, {}) === "candidate") ?? "";
    const controller = new AbortController();
    const reply = canary.generate(prompt, { signal: controller.signal });
    await reply[Symbol.asyncIterator]().next();
    controller.abort();
    await expect(reply.result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    expect(current.requests).toHaveLength(0);
    expect(canary.report.candidate.requests).toBe(0);
  });
});

describe("the comparison", () => {
  test("takes back what is less sure of its words, is slower, or fails more", () => {
    const current = tallyOf(50, -1, 20);
    expect(reasonToRollBack(current, tallyOf(50, -1.1, 25), thresholds)).toBeUndefined();
    expect(reasonToRollBack(current, tallyOf(50, -1.4, 20), thresholds)).toMatch(/log-probability is -1.4/);
    expect(reasonToRollBack(current, tallyOf(50, -1, 40), thresholds)).toMatch(/a token takes 4.* ms/);
    expect(reasonToRollBack(current, tallyOf(50, -1, 20, 5), thresholds)).toMatch(/5 of 55 requests failed/);
  });

  test("takes nothing back by chance, or before there is enough to tell", () => {
    const current = tallyOf(50, -1, 20);
    expect(reasonToRollBack(current, tallyOf(9, -3, 90), thresholds)).toBeUndefined();
    expect(reasonToRollBack(tallyOf(9, -1, 20), tallyOf(50, -3, 90), thresholds)).toBeUndefined();
    expect(reasonToRollBack(current, tallyOf(0, 0, 0, 4), thresholds)).toBeUndefined();
    const wild = new VersionTally();
    for (let index = 0; index < 12; index += 1) {
      wild.answered({ meanLogprob: index % 3 === 0 ? -5 : -0.2, firstTokenMs: 10, tokenMs: 20 });
    }
    expect(wild.figures.meanLogprob).toBeLessThan(-1.2);
    expect(reasonToRollBack(current, wild, thresholds)).toBeUndefined();
  });

  test("has the mean and its error that a plain computation has", () => {
    const values = [-1, -2.5, -0.25, -3, -1.75];
    const tally = new VersionTally();
    for (const meanLogprob of values) tally.answered({ meanLogprob, firstTokenMs: 1, tokenMs: undefined });
    const mean = values.reduce((a, b) => a + b) / 5;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 4;
    expect(tally.logprob.mean).toBeCloseTo(mean, 12);
    expect(tally.logprob.errorSquared).toBeCloseTo(variance / 5, 12);
    expect(tally.figures.perplexity).toBeCloseTo(Math.exp(-mean), 12);
    expect(tally.figures.meanTokenMs).toBeNull();
  });
});

test("a server shows how a canary does", async () => {
  const candidate = new FakeRuntime();
  candidate.script = [[broken]];
  server = createServer(new FakeRuntime(), { canary: { runtime: candidate, share: 0.5 } });
  for (const prompt of prompts.slice(0, 40)) {
    const response = await server.inject({
      ...{ method: "POST", url: "/v1/completions", headers: { "content-type": "application/json" } },
      payload: { prompt, stream: true },
    });
    expect(response.body).toContain("[DONE]");
  }
  expect((await server.inject("/canary")).json()).toMatchObject({
    ...{ state: "rolled_back", share: 0, candidate: { requests: 5, failures: 5 } },
  });
  const metrics = (await server.inject("/metrics")).body;
  expect(metrics).toContain('air_canary_failures{version="candidate"} 5');
  expect(metrics).toContain('air_canary_share{version="candidate"} 0');
  await server.close();
  server = createServer(new FakeRuntime());
  expect((await server.inject("/canary")).json()).toEqual({ state: "none" });
});
