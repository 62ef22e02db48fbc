import { describe, expect, test } from "vitest";

import type { BenchmarkReport, SpeculationReport } from "../../../lib/benchmark/report.js";
import { formatBenchmark } from "../../../lib/cli/bench.js";
import { integerList } from "../../../lib/cli/options.js";

const common = { batch: 1, threads: 2, kv: "int8" } as const;

function ms(p50: number) {
  return { p50, p90: p50 * 2, p99: p50 * 3 };
}

const report: BenchmarkReport = {
  machine: { cpu: "Fast", cpus: 4, isa: "neon", memoryBytes: 2 ** 32, os: "Linux", node: "v20" },
  model: { name: "", architecture: "llama", parameterCount: 1.1e9 },
  results: [
    { test: "prefill", tokens: 512, ...common, tokensPerSecond: 250.4, ms: ms(4), joulesPerToken: 0.01234 },
    { test: "decode", depth: 0, ...common, tokensPerSecond: 50, ms: ms(20) },
    { test: "decode", depth: 2048, ...common, tokensPerSecond: 40, ms: ms(25) },
    { test: "decode", depth: 0, ...common, batch: 8, tokensPerSecond: 250, ms: ms(32) },
    { test: "forward", rows: 1, ...common, tokensPerSecond: 50, ms: ms(20) },
    { test: "forward", rows: 4, ...common, tokensPerSecond: 160, ms: ms(22) },
  ],
  session: { tokensPerSecond: 49.7, ms: ms(20.1), overheadMs: 0.1 },
  bandwidth: { readGBps: 34.56, decodeFraction: 0.876 },
  memory: { weightBytes: 2 ** 29, kvBytesPerToken: 23232, peakRssBytes: 2 ** 30 },
  packCache: undefined,
};

describe("formatBenchmark", () => {
  const lines = formatBenchmark(report).split("\n");

  test("aligns the columns of all measurements", () => {
    expect(lines.slice(0, 8)).toEqual([
      "test                 tok/s  ms p50     p90     p99   cost  J/token",
      "prefill  512 tokens    250   4.000   8.000  12.000          0.0123",
      "decode   depth 0      50.0  20.000  40.000  60.000",
      "decode   depth 2048   40.0  25.000  50.000  75.000  1.25x",
      "decode   batch 8       250  32.000  64.000  96.000  1.60x",
      "forward  1 row        50.0  20.000  40.000  60.000",
      "forward  4 rows        160  22.000  44.000  66.000  1.10x",
      "session  depth 0      49.7  20.100  40.200  60.300",
    ]);
  });

  test("names model, machine, bandwidth and memory", () => {
    expect(lines.slice(9)).toEqual([
      "model      unnamed, 1.10B parameters",
      "machine    Fast, 4 CPUs, neon, 4.00 GiB",
      "settings   2 threads, KV cache in int8",
      "API        0.100 ms a token outside the forward pass",
      "bandwidth  34.6 GB/s read, 88% of it used by decoding at depth 0",
      "memory     512.0 MiB weights, 1.00 GiB peak RSS",
      "",
    ]);
  });

  test("names the device that computed", () => {
    const device = {
      index: 0,
      name: "Orin",
      computeCapability: "8.7",
      multiprocessors: 16,
      totalBytes: 2 ** 36,
      isIntegrated: true,
      image: "ptx" as const,
      imageMicros: 5,
    };
    expect(formatBenchmark({ ...report, device })).toContain(
      "device     Orin, compute capability 8.7, 16 multiprocessors, 64.0 GiB, kernels compiled by the driver\n",
    );
  });

  test("names a draft by its tokens", () => {
    const propose = { test: "propose" as const, ...common, tokensPerSecond: 100, ms: ms(20) };
    const text = formatBenchmark({
      ...report,
      results: [...report.results, { ...propose, tokens: 1 }, { ...propose, tokens: 8, ms: ms(60) }],
    });
    expect(text).toMatch(/^propose +1 token +100 /m);
    expect(text).toMatch(/^propose +8 tokens .* 3\.00x/m);
  });

  test("leaves the column of energy out where nothing reports it", () => {
    const results = report.results.slice(1);
    expect(formatBenchmark({ ...report, results })).not.toContain("J/token");
  });
});

describe("formatBenchmark with speculation", () => {
  const speculation = {
    name: "ngram and draft model",
    targetOnly: { tokensPerSecond: 82.74 },
    speculative: { tokensPerSecond: 180.4 },
    speedup: { median: 2.184, min: 2.1, max: 2.2 },
    drafted: 312,
    accepted: 222,
    cycles: 100,
    acceptanceRate: 222 / 312,
    meanAcceptanceLength: 3.22,
    differentTexts: 0,
    tokens: 128,
    rounds: 3,
  };

  function section(part: Partial<SpeculationReport>): readonly string[] {
    const lines = formatBenchmark({ ...report, speculation: { ...speculation, ...part } }).split("\n");
    const start = lines.findIndex((line) => line.startsWith("speculation"));
    return lines.slice(start, lines.indexOf("", start));
  }

  test("shows both rates, the speed-up and the acceptance", () => {
    expect(section({})).toEqual([
      "speculation            tok/s  speed-up    accepted  tokens a draft",
      "target only             82.7",
      "ngram and draft model    180     2.18x  71% of 312            3.22",
    ]);
  });

  test("says when drafting was off at the end, and when texts differ", () => {
    const text = section({ disabledReason: "not worth it", differentTexts: 1 });
    expect(text.slice(3)).toEqual(["off at the end: not worth it", "1 of 3 texts differ from target-only's"]);
  });

  test("has no acceptance without drafts", () => {
    expect(section({ name: "ngram", drafted: 0 })[2]).toMatch(/^ngram +180 +2\.18x +no drafts$/);
  });
});

describe("integerList", () => {
  const parse = integerList("-d", { min: 0, max: 100 });

  test("reads one number or several", () => {
    expect(parse("7")).toEqual([7]);
    expect(parse("0, 64,100")).toEqual([0, 64, 100]);
  });

  test.each([
    ["1,,2", ""],
    ["", ""],
    ["5,101", "101"],
    ["a", "a"],
  ])("refuses %j by the part that is wrong", (text, part) => {
    const message = `expected a whole number from 0 to 100 for -d but received ${JSON.stringify(part)}`;
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: "AIR_ERR_ARGUMENT", message }));
  });
});
