import { describe, expect, test } from "vitest";

import type { MeasuredBatching } from "../../../bench/batching/measured.js";
import { formatReport, summarize } from "../../../bench/batching/report.js";
import { createWorkload } from "../../../bench/batching/workload.js";

/** A round in which one stream makes `rate` tokens/s, four make three times as many, and steps take `quiet` ms. */
function round(rate: number, quiet: number): MeasuredBatching {
  const row = (streams: number, tokensPerSecond: number) => ({
    ...{ streams, tokens: 8, ms: 1, tokensPerSecond },
    decodeTokensPerSecond: tokensPerSecond * 2,
  });
  const loadedMs = Array.from({ length: 100 }, (_, index) => (index < 98 ? 2 : 4) * quiet);
  const latency = { streams: 1, longTokens: 9, quietMs: [quiet, quiet], loadedMs, firstTokenMs: 100 };
  return { runtime: "air", throughput: [row(1, rate), row(4, 3 * rate)], latency: [latency] };
}

describe("The report of batching", () => {
  test("compares within rounds, and shows their median and range", () => {
    const { throughput, latency } = summarize("air", [round(10, 5), round(20, 10), round(40, 8)]);
    expect(throughput[1]).toMatchObject({
      streams: 4,
      tokensPerSecond: { median: 60, min: 30, max: 120 },
      overOne: { median: 3, min: 3, max: 3 },
      decodeTokensPerSecond: { median: 120, min: 60, max: 240 },
    });
    expect(latency[0]).toMatchObject({
      quietP50: { median: 8, min: 5, max: 10 },
      loadedP50: { median: 16, min: 10, max: 20 },
      loadedP99OverQuietP50: { median: 4, min: 4, max: 4 },
    });
  });

  test("has no rows without rounds", () => {
    expect(summarize("air", [])).toEqual({ name: "air", throughput: [], latency: [] });
  });

  test("prints a line for each runtime and number of streams", () => {
    const settings = {
      threads: 2,
      streams: [1, 4],
      tokens: 8,
      latencyStreams: [1],
      longTokens: 9,
      rounds: 1,
    };
    const machine = {} as Parameters<typeof formatReport>[0]["machine"];
    const runtimes = [summarize("air", [round(10, 5)])];
    const text = formatReport({ date: "", command: "", machine, model: "m", settings, runtimes });
    expect(text).toMatch(/^air +4 +30\.0 \(30\.0\.\.30\.0\) +3\.00/m);
    expect(text).toMatch(/^air +1 +5\.0 .* 4\.00 \(4\.00\.\.4\.00\) +20 /m);
  });
});

test("prompts of the workload begin differently, and the long text is long enough", () => {
  const { streams, long } = createWorkload(12, 4096);
  expect(new Set(streams.map((prompt) => prompt.slice(0, 4))).size).toBe(12);
  expect(long.length).toBeGreaterThan(4096 * 8);
});
