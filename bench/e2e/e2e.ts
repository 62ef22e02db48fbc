/**
 * The composed runtime against its largest model alone: a mixed workload through three tiers, with routing, speculation and
 * KV compression each and together. Every row serves the same prompts, one at a time, in a process of its own.
 *
 *   npm run build
 *   npx tsx bench/models/inflate.ts models/air-tiny-chat-draft-q8_0.gguf small.gguf --shape 135m   # and so on, see bench/README.md
 *   npx tsx bench/e2e/e2e.ts --small small.gguf --medium medium.gguf --large large.gguf \
 *       [--draft draft.gguf] [--requests 200] [--save]
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { stderr, stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { percentile } from "../../lib/benchmark/statistics.js";
import { table } from "../../lib/cli/text.js";
import { invalidArgument } from "../../lib/errors/air-error.js";
import { at } from "../../lib/util/array-access.js";
import { modelName, provenance, saveResults } from "../speculation/results.js";
import { e2eRows } from "./rows.js";

/** A request of bench/e2e/workload.jsonl. */
interface WorkloadRequest {
  readonly prompt: string;
  /** The class that people gave it. */
  readonly tier: 0 | 1 | 2;
}

/** What row.mjs says of a request. */
interface Answer {
  readonly tier: string;
  readonly score: number;
  readonly tokens: number;
  readonly promptTokens: number;
  readonly ms: number;
  readonly firstMs?: number;
  readonly text: string;
}

interface RowReport {
  readonly answers: readonly Answer[];
  readonly seconds: number;
  readonly peakRssBytes: number;
  readonly rssBytes: number;
  readonly joules?: number;
}

const rowScript = fileURLToPath(new URL("row.mjs", import.meta.url));
const workloadFile = fileURLToPath(new URL("workload.jsonl", import.meta.url));

function readWorkload(count: number): readonly WorkloadRequest[] {
  const lines = readFileSync(workloadFile, "utf8")
    .split("\n")
    .filter((line) => line !== "");
  const all = lines.map((line) => JSON.parse(line) as WorkloadRequest);
  // Spread over the file, so that fewer requests have the same mix.
  return Array.from({ length: Math.min(count, all.length) }, (_, index) => {
    const request = all[Math.floor((index * all.length) / Math.min(count, all.length))];
    if (request === undefined) throw invalidArgument("--requests", "fewer requests", count);
    return request;
  });
}

/**
 * Serves the workload with one configuration.
 *
 * @param answerTokens - tokens of an answer, by class
 */
function serve(
  config: object,
  workload: readonly WorkloadRequest[],
  answerTokens: readonly number[],
): RowReport {
  const requests = workload.map(({ prompt, tier }) => ({ prompt, maxTokens: at(answerTokens, tier) }));
  const { status, stdout: output } = spawnSync(process.execPath, [rowScript], {
    input: JSON.stringify({ config, requests }),
    encoding: "utf8",
    stdio: ["pipe", "pipe", "inherit"],
    maxBuffer: 2 ** 28,
  });
  if (stderr.isTTY) stderr.write("\n");
  if (status !== 0) throw new Error(`${rowScript} failed with status ${String(status)}`);
  return JSON.parse(output) as RowReport;
}

const speedOf = ({ tokens, ms }: Answer): number => tokens / (ms / 1000);

function summarize(
  name: string,
  report: RowReport,
  workload: readonly WorkloadRequest[],
  largeTexts: readonly string[],
) {
  const { answers, seconds, peakRssBytes, joules } = report;
  const latencies = answers.map(({ ms }) => ms / 1000);
  const speeds = answers.map(speedOf);
  const demanding = answers.filter((_, index) => workload[index]?.tier === 1);
  const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0);
  const same = answers.filter(({ text }, index) => text === largeTexts[index]).length;
  const elsewhere = answers
    .map((answer, index) => ({ answer, text: largeTexts[index] }))
    .filter(({ answer }) => answer.tier !== "large");
  const sameElsewhere = elsewhere.filter(({ answer, text }) => answer.text === text).length;
  const counts = Object.fromEntries(
    ["small", "medium", "large"].map((tier) => [
      tier,
      answers.filter((answer) => answer.tier === tier).length,
    ]),
  );
  return {
    name,
    medianTokensPerSecond: percentile(speeds, 0.5),
    meanTokensPerSecond: tokens / seconds,
    latency: {
      p50: percentile(latencies, 0.5),
      p90: percentile(latencies, 0.9),
      p99: percentile(latencies, 0.99),
    },
    demandingTokensPerSecond: percentile(demanding.map(speedOf), 0.5),
    peakRssBytes,
    joulesPerToken: joules === undefined ? undefined : joules / tokens,
    requestsByTier: counts,
    /** Answers that are those of the largest model, of all and of those that another tier gave. */
    agreement: same / answers.length,
    agreementElsewhere: elsewhere.length === 0 ? undefined : sameElsewhere / elsewhere.length,
    seconds,
  };
}

/** Requests that the medium tier answered in both rows, prompts included: how many times as fast the second row was. */
function speedupOnMedium(plain: RowReport | undefined, speculative: RowReport | undefined) {
  if (plain === undefined || speculative === undefined) return undefined;
  const pairs = plain.answers.flatMap((answer, index) => {
    const other = at(speculative.answers, index);
    return answer.tier === "medium" && other.tier === "medium" ? [{ answer, other }] : [];
  });
  const total = (answers: readonly Answer[]): number =>
    answers.reduce((sum, { tokens }) => sum + tokens, 0) / answers.reduce((sum, { ms }) => sum + ms, 0);
  return {
    requests: pairs.length,
    median: percentile(
      pairs.map(({ answer, other }) => speedOf(other) / speedOf(answer)),
      0.5,
    ),
    mean: total(pairs.map(({ other }) => other)) / total(pairs.map(({ answer }) => answer)),
  };
}

type Summary = ReturnType<typeof summarize>;

function format(rows: readonly Summary[]): string {
  const [base] = rows;
  const ratio = (value: number, of: number | undefined): string => `${(value / (of ?? NaN)).toFixed(2)}x`;
  const header = [
    "row",
    "median tok/s",
    "",
    "mean tok/s",
    "",
    "p50 s",
    "p90 s",
    "p99 s",
    "peak MiB",
    "",
    "small/medium/large",
    "same text",
  ];
  const lines = rows.map((row) => [
    row.name,
    row.medianTokensPerSecond.toFixed(1),
    ratio(row.medianTokensPerSecond, base?.medianTokensPerSecond),
    row.meanTokensPerSecond.toFixed(1),
    ratio(row.meanTokensPerSecond, base?.meanTokensPerSecond),
    row.latency.p50.toFixed(2),
    row.latency.p90.toFixed(2),
    row.latency.p99.toFixed(2),
    (row.peakRssBytes / 2 ** 20).toFixed(0),
    ratio(row.peakRssBytes, base?.peakRssBytes),
    Object.values(row.requestsByTier).join("/"),
    `${(row.agreement * 100).toFixed(0)}%`,
  ]);
  return table([header, ...lines], ["left", ...header.slice(1).map(() => "right" as const)]);
}

const { values } = parseArgs({
  options: {
    small: { type: "string" },
    medium: { type: "string" },
    large: { type: "string" },
    draft: { type: "string" },
    requests: { type: "string", default: "200" },
    answers: { type: "string", default: "24,40,64" },
    threads: { type: "string", default: "2" },
    rows: { type: "string" },
    save: { type: "boolean", default: false },
  },
});
const { small, medium, large } = values;
if (small === undefined || medium === undefined || large === undefined)
  throw invalidArgument("--small, --medium and --large", "GGUF files", undefined);
const workload = readWorkload(Number(values.requests));
const answerTokens = values.answers.split(",").map(Number);
const chosen = values.rows?.split(",");
const rows: Summary[] = [];
const reports = new Map<string, RowReport>();
let largeTexts: readonly string[] = [];
const files = { small, medium, large, draft: values.draft ?? small };
for (const { name, config } of e2eRows(files, Number(values.threads))) {
  if (chosen !== undefined && !chosen.includes(name)) continue;
  const report = serve(config, workload, answerTokens);
  if (largeTexts.length === 0) largeTexts = report.answers.map(({ text }) => text);
  const row = summarize(name, report, workload, largeTexts);
  rows.push(row);
  reports.set(name, report);
  if (stderr.isTTY) stderr.write(`${row.name}: ${row.medianTokensPerSecond.toFixed(1)} tokens/s\n`);
}
stdout.write(`${format(rows)}\n`);
const speculation = speedupOnMedium(reports.get("+ routing"), reports.get("routing + speculation"));
if (speculation !== undefined) {
  const { requests, median, mean } = speculation;
  stdout.write(
    `\nspeculation on the ${String(requests)} requests of the medium tier: ${median.toFixed(2)}x in the median request, ${mean.toFixed(2)}x in tokens over time\n`,
  );
}
if (values.save) {
  saveResults("e2e", {
    ...provenance("bench/e2e/e2e.ts"),
    models: Object.fromEntries(Object.entries(files).map(([name, file]) => [name, modelName(file)])),
    requests: workload.length,
    answerTokens,
    rows,
    speculationOnMedium: speculation,
  });
}
