import { Command } from "commander";

import { type BenchmarkOptions, runBenchmark } from "../benchmark/benchmark.js";
import type { BenchmarkReport, BenchmarkResult, SpeculationReport } from "../benchmark/report.js";
import type { Percentiles } from "../benchmark/statistics.js";
import { invalidArgument } from "../errors/air-error.js";
import type { LoadedDevice } from "../native/native.js";
import { type CliIo, readText, write, writeJson } from "./io.js";
import { modelFile, noteFewerThreads, notePackCache, progressBar, withDraftFile } from "./load.js";
import {
  addComputeOptions,
  integer,
  integerList,
  modelFileOption,
  type ModelOptions,
  toLoadOptions,
} from "./options.js";
import { formatBytes, formatCount, table } from "./text.js";

interface BenchOptions extends Omit<ModelOptions, "ctx"> {
  readonly prompt: number;
  readonly tokens: number;
  readonly depths: readonly number[];
  readonly batches: readonly number[];
  /** A GGUF file, or `ngram`. */
  readonly draft?: string;
  readonly promptFile?: string;
  readonly json?: boolean;
}

const maxTokens = 1 << 20;
const maxBatch = 512;

const examples = `
Times are of the forward pass alone; the line "session" is greedy decoding through the public API. A forward of
several rows computes the logits of all of them. --draft adds greedy decoding of a prompt with and without
speculation, in turns. Run it on an idle machine.

Examples:
  air bench -m model.gguf
  air bench -m model.gguf --device cuda
  air bench -m model.gguf --threads 1 -p 128 -n 32 -d 0 -b 1,4 --json
  air bench -m model.gguf --draft small.gguf --prompt-file question.txt`;

/** Below 100 with four digits, above without decimals. */
function formatRate(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function milliseconds({ p50, p90, p99 }: Percentiles): readonly string[] {
  return [p50, p90, p99].map((ms) => ms.toFixed(3));
}

function resultName(result: BenchmarkResult): readonly [string, string] {
  switch (result.test) {
    case "prefill":
      return ["prefill", `${result.tokens} tokens`];
    case "decode":
      return ["decode", result.batch > 1 ? `batch ${result.batch}` : `depth ${result.depth}`];
    case "forward":
      return ["forward", `${result.rows} ${result.rows === 1 ? "row" : "rows"}`];
    case "propose":
      return ["propose", `${result.tokens} ${result.tokens === 1 ? "token" : "tokens"}`];
  }
}

/** What a result is compared with: a step of one row, or one sequence, or a draft of one token. */
function baseline(result: BenchmarkResult, { results }: BenchmarkReport): BenchmarkResult | undefined {
  if (result.test === "prefill") return undefined;
  const base = results.find(({ test }) => test === result.test);
  return base === result ? undefined : base;
}

function formatSpeculation(report: SpeculationReport): string {
  const { name, targetOnly, speculative, speedup, drafted, acceptanceRate, meanAcceptanceLength } = report;
  const right = "right" as const;
  const rows = [
    ["speculation", "tok/s", "speed-up", "accepted", "tokens a draft"],
    ["target only", formatRate(targetOnly.tokensPerSecond), "", "", ""],
    [
      name,
      formatRate(speculative.tokensPerSecond),
      `${speedup.median.toFixed(2)}x`,
      drafted > 0 ? `${(acceptanceRate * 100).toFixed(0)}% of ${drafted}` : "no drafts",
      drafted > 0 ? meanAcceptanceLength.toFixed(2) : "",
    ],
  ];
  const { disabledReason, differentTexts } = report;
  return [
    table(rows, ["left", right, right, right, right]),
    ...(disabledReason === undefined ? [] : [`off at the end: ${disabledReason}`]),
    ...(differentTexts === 0
      ? []
      : [`${differentTexts} of ${report.rounds} texts differ from target-only's`]),
    "",
    "",
  ].join("\n");
}

function describeDevice({
  name,
  computeCapability,
  multiprocessors,
  totalBytes,
  image,
}: LoadedDevice): string {
  const kernels = image === "sass" ? "compiled kernels" : "kernels compiled by the driver";
  return `${name}, compute capability ${computeCapability}, ${multiprocessors} multiprocessors, ${formatBytes(totalBytes)}, ${kernels}`;
}

/** Measurements as a table, then machine, bandwidth and memory. */
export function formatBenchmark(report: BenchmarkReport): string {
  const { machine, model, device, results, session, speculation, bandwidth, memory } = report;
  const first = results[0];
  const measuresEnergy = results.some(({ joulesPerToken }) => joulesPerToken !== undefined);
  const rows = results.map((result) => {
    const base = baseline(result, report);
    return [
      ...resultName(result),
      formatRate(result.tokensPerSecond),
      ...milliseconds(result.ms),
      base === undefined ? "" : `${(result.ms.p50 / base.ms.p50).toFixed(2)}x`,
      ...(measuresEnergy ? [result.joulesPerToken?.toPrecision(3) ?? ""] : []),
    ];
  });
  const header = [
    "test",
    "",
    "tok/s",
    "ms p50",
    "p90",
    "p99",
    "cost",
    ...(measuresEnergy ? ["J/token"] : []),
  ];
  const sessionRow = ["session", "depth 0", formatRate(session.tokensPerSecond), ...milliseconds(session.ms)];
  const decodeShare = (bandwidth.decodeFraction * 100).toFixed(0);
  const facts = [
    [
      "model",
      `${model.name === "" ? "unnamed" : model.name}, ${formatCount(model.parameterCount)} parameters`,
    ],
    ...(device === undefined ? [] : [["device", describeDevice(device)]]),
    ["machine", `${machine.cpu}, ${machine.cpus} CPUs, ${machine.isa}, ${formatBytes(machine.memoryBytes)}`],
    ["settings", `${first?.threads ?? 0} threads, KV cache in ${first?.kv ?? "int8"}`],
    ["API", `${session.overheadMs.toFixed(3)} ms a token outside the forward pass`],
    [
      "bandwidth",
      `${bandwidth.readGBps.toFixed(1)} GB/s read, ${decodeShare}% of it used by decoding at depth 0`,
    ],
    ["memory", `${formatBytes(memory.weightBytes)} weights, ${formatBytes(memory.peakRssBytes)} peak RSS`],
  ];
  const right = "right" as const;
  return [
    table([header, ...rows, sessionRow], ["left", "left", right, right, right, right, right, right]),
    "",
    `${speculation === undefined ? "" : formatSpeculation(speculation)}${table(facts)}`,
    "",
  ].join("\n");
}

/** What --draft and --prompt-file ask for. */
async function speculationOptions(
  io: CliIo,
  { draft, promptFile }: BenchOptions,
): Promise<Pick<BenchmarkOptions, "load" | "speculation">> {
  if (draft === undefined) {
    if (promptFile === undefined) return {};
    throw invalidArgument("--prompt-file", "--draft beside it", promptFile);
  }
  const load = draft === "ngram" ? {} : await withDraftFile({ draft });
  if (promptFile === undefined) return { load, speculation: {} };
  const prompt = await readText(io, promptFile);
  if (prompt === "") throw invalidArgument("--prompt-file", "a file with text in it", promptFile);
  return { load, speculation: { prompt } };
}

async function run(io: CliIo, options: BenchOptions): Promise<void> {
  const { load, speculation } = await speculationOptions(io, options);
  const file = await modelFile(io, options.model);
  const loading = progressBar(io, "loading");
  let measuring: ReturnType<typeof progressBar> | undefined;
  let report: BenchmarkReport;
  try {
    report = await runBenchmark(file, {
      load: { ...toLoadOptions(options), ...load, onProgress: loading.update },
      ...(speculation && { speculation }),
      promptTokens: options.prompt,
      decodeTokens: options.tokens,
      depths: options.depths,
      batches: options.batches,
      onProgress: (fraction) => {
        loading.stop();
        measuring ??= progressBar(io, "measuring");
        measuring.update(fraction);
      },
      signal: io.signal,
    });
  } finally {
    loading.stop();
    measuring?.stop();
  }
  noteFewerThreads(io, options, report.results[0]?.threads ?? Infinity);
  notePackCache(io, report.packCache);
  if (options.json === true) await writeJson(io, report);
  else await write(io.stdout, formatBenchmark(report));
}

/** `air bench`: how fast this machine runs a model. */
export function benchCommand(io: CliIo): Command {
  const command = new Command("bench")
    .summary("measure how fast this machine runs a model")
    .description(
      "Measures prefill, decoding by depth and batch, the cost of steps of several rows, and memory bandwidth.",
    )
    .addOption(modelFileOption())
    .option("-p, --prompt <tokens>", "tokens of the prefill", integer("-p", { min: 1, max: maxTokens }), 512)
    .option("-n, --tokens <n>", "steps of each decoding", integer("-n", { min: 1, max: maxTokens }), 128)
    .option(
      "-d, --depths <list>",
      "tokens before decoding, one sequence",
      integerList("-d", { min: 0, max: maxTokens }),
      [0, 2048, 8192],
    )
    .option(
      "-b, --batches <list>",
      "sequences decoding together, from depth 0",
      integerList("-b", { min: 1, max: maxBatch }),
      [1, 2, 4, 8],
    )
    .option("--draft <file>", "compare with speculation: a GGUF file of a draft model, or ngram")
    .option("--prompt-file <file>", "text that --draft continues; - is stdin (default: some prose)");
  return addComputeOptions(command)
    .option("--json", "print one JSON object")
    .addHelpText("after", examples)
    .action((options: BenchOptions) => run(io, options));
}
