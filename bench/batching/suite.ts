/**
 * Streams side by side, and between their tokens while a long prompt is prefilled: air-runtime and node-llama-cpp in
 * turns, each round in a process of its own, on the same file and prompts. Run it on an idle machine; the peer's
 * package is bench/peers.
 *
 *   npx tsx bench/batching/suite.ts --model FILE [--threads 2] [--streams 1,2,4,8,16] [--tokens 64] [--rounds 3]
 *       [--latency-streams 1,4] [--long 4096] [--stretch 2] [--speculation] [--draft FILE] [--no-peer]
 *       [--out NAME] [--quick] [--json]
 *
 * --speculation adds air-runtime with speculation `auto`, with the draft model where one is given. Writes
 * bench/results/batching-NAME.json, unless --quick.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execPath, stderr, stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

import { invalidArgument } from "../../lib/errors/air-error.js";
import { modelName, provenance, saveResults } from "../speculation/results.js";
import type { BatchingSettings, MeasuredBatching } from "./measured.js";
import { type BatchingReport, formatReport, summarize } from "./report.js";
import { createWorkload } from "./workload.js";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    threads: { type: "string", default: "2" },
    streams: { type: "string", default: "1,2,4,8,16" },
    tokens: { type: "string", default: "64" },
    "latency-streams": { type: "string", default: "1,4" },
    long: { type: "string", default: "4096" },
    rounds: { type: "string", default: "3" },
    stretch: { type: "string" },
    speculation: { type: "boolean", default: false },
    draft: { type: "string" },
    "no-peer": { type: "boolean", default: false },
    out: { type: "string" },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const { model, draft, quick } = values;
if (model === undefined) throw invalidArgument("--model", "a GGUF file", model);
const rounds = quick ? 1 : positive("--rounds", values.rounds);
const settings: BatchingSettings = {
  threads: positive("--threads", values.threads),
  streams: positives("--streams", values.streams),
  tokens: positive("--tokens", values.tokens),
  latencyStreams: positives("--latency-streams", values["latency-streams"]),
  longTokens: positive("--long", values.long),
};

/** A process that measures: what to call it, and its arguments to node. */
interface Contender {
  readonly name: string;
  readonly args: readonly string[];
}

const folder = mkdtempSync(join(tmpdir(), "air-batching-"));
try {
  const runtimes = await measure(contenders());
  const report: BatchingReport = {
    ...provenance("bench/batching/suite.ts"),
    model: modelName(model),
    ...(draft !== undefined && { draft: modelName(draft) }),
    settings: { ...settings, rounds },
    runtimes,
  };
  stdout.write(values.json ? `${JSON.stringify(report)}\n` : formatReport(report));
  if (!quick) saveResults(`batching-${values.out ?? modelName(model)}`, report);
} finally {
  rmSync(folder, { recursive: true });
}

function contenders(): readonly Contender[] {
  const most = Math.max(...settings.streams, ...settings.latencyStreams);
  const [settingsFile, workloadFile] = [join(folder, "settings.json"), join(folder, "workload.json")];
  writeFileSync(settingsFile, JSON.stringify(settings));
  writeFileSync(workloadFile, JSON.stringify(createWorkload(most, settings.longTokens)));
  const files = ["--model", String(model), "--settings", settingsFile, "--workload", workloadFile];
  const script = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
  const stretch = values.stretch === undefined ? [] : ["--stretch", values.stretch];
  const ours = ["--import", "tsx", script("ours.ts"), ...files, ...stretch];
  const auto = ["--speculation", "auto", ...(draft === undefined ? [] : ["--draft", draft])];
  return [
    { name: "air-runtime", args: ours },
    ...(values.speculation ? [{ name: "air-runtime, speculation", args: [...ours, ...auto] }] : []),
    ...(values["no-peer"]
      ? []
      : [{ name: "node-llama-cpp", args: [script("../peers/peer-batching.mjs"), ...files] }]),
  ];
}

async function measure(all: readonly Contender[]): Promise<BatchingReport["runtimes"]> {
  const measured = all.map((): MeasuredBatching[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, { name, args }] of all.entries()) {
      if (stderr.isTTY) stderr.write(`\r\x1b[Kround ${round + 1} of ${rounds}: ${name}`);
      const { stdout: printed } = await promisify(execFile)(execPath, args, { maxBuffer: 2 ** 26 });
      measured[index]?.push(JSON.parse(printed.trim().split("\n").at(-1) ?? "") as MeasuredBatching);
    }
  }
  if (stderr.isTTY) stderr.write("\r\x1b[K");
  return all.map(({ name }, index) => summarize(name, measured[index] ?? []));
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw invalidArgument(flag, "a positive whole number", text);
  return value;
}

function positives(flag: string, text: string): readonly number[] {
  return text === "" ? [] : text.split(",").map((part) => positive(flag, part));
}
