import { Command } from "commander";

import { AirError } from "../errors/air-error.js";
import { checkKvPrecision, type KvCheckResult, type KvVerdict, resolveModel } from "../index.js";
import { describeModel } from "../model/architecture.js";
import { createChatTemplate } from "../model/chat-template.js";
import { readGguf } from "../model/gguf.js";
import { createTokenizer } from "../model/tokenizer.js";
import { type FileReport, reportFile } from "./file-report.js";
import { type CliIo, write, writeJson } from "./io.js";
import { progressBar } from "./load.js";
import { addComputeOptions, type ComputeOptions, toComputeOptions } from "./options.js";
import { formatBytes, formatCount, table } from "./text.js";

const examples = `
Only the file's header is read, so this is quick for a file of any size, and works for files that air cannot run.
--kv-check loads the model and computes a short text with the KV cache of --kv and with one in float16; the
options after it are for that.

Examples:
  air inspect model.gguf
  air inspect model.gguf --json
  air inspect model.gguf --kv-check --kv int4`;

interface InspectOptions extends ComputeOptions {
  readonly kvCheck?: boolean;
  readonly json?: boolean;
}

function shapeLines({ shape, contextTokens, rope }: FileReport): readonly (readonly [string, string])[] {
  const known = (value: number | undefined) => (value === undefined ? "unknown" : String(value));
  const heads = `${known(shape.queryHeads)} query, ${known(shape.kvHeads)} KV, of ${known(shape.headDim)} dims`;
  const scaling = rope.scaling === undefined ? "" : `, ${rope.scaling} scaling`;
  return [
    ["layers", known(shape.layers)],
    ["embedding", known(shape.embeddingLength)],
    ["feed-forward", known(shape.feedForwardLength)],
    ["heads", heads],
    ["context", `${known(contextTokens)} tokens`],
    ["rope", `base ${known(rope.base)}${scaling}`],
  ];
}

function tokenizerLine({ tokenizer }: FileReport): string {
  const kind = tokenizer.kind ?? "none";
  const pre = tokenizer.preTokenizer === undefined ? "" : ` (${tokenizer.preTokenizer})`;
  const template = tokenizer.chatTemplate ? "with a chat template" : "without a chat template";
  return `${kind}${pre}, ${tokenizer.tokens} tokens, ${template}`;
}

function memoryLines({ memory, contextTokens }: FileReport): readonly (readonly [string, string])[] {
  const weights = ["weights", formatBytes(memory.weightBytes)] as const;
  if (memory.kvBytesPerToken === undefined) return [weights];
  const { int8, f16 } = memory.kvBytesPerToken;
  const perToken = `int8 ${formatBytes(int8)}, f16 ${formatBytes(f16)} a token`;
  if (contextTokens === undefined) return [weights, ["KV cache", perToken]];
  const full = `int8 ${formatBytes(int8 * contextTokens)}, f16 ${formatBytes(f16 * contextTokens)} for the context`;
  return [weights, ["KV cache", perToken], ["", full]];
}

/** The report for people: headline facts, then tensors by type, then what it will take to run. */
export function formatReport(report: FileReport, problem: AirError | undefined): string {
  const facts = [
    ["name", report.name ?? "unnamed"],
    ["architecture", `${report.architecture}${problem === undefined ? "" : "  (cannot be run, see below)"}`],
    ["parameters", formatCount(report.parameterCount)],
    ["file size", formatBytes(report.fileBytes)],
    ...shapeLines(report),
    ["tokenizer", tokenizerLine(report)],
  ];
  const tensors = report.tensors.map(({ type, count, parameters, bytes }) => [
    type,
    String(count),
    formatCount(parameters),
    formatBytes(bytes),
  ]);
  return [
    table(facts),
    "",
    table([["tensors", "count", "weights", "bytes"], ...tensors], ["left", "right", "right", "right"]),
    "",
    table([["memory needed", "(about)"], ...memoryLines(report)]),
    ...(problem === undefined ? [] : ["", `${problem.code}: ${problem.message}`]),
    "",
  ].join("\n");
}

const verdicts: Readonly<Record<KvVerdict, string>> = {
  fine: "fine: little is lost",
  visible: "visible: some quality is lost",
  harmful: "harmful: use another precision",
};

/** The KV check for people. */
export function formatKvCheck(check: KvCheckResult): string {
  const { keys, values, tokens, meanDivergence, p99Divergence, sameTopRate, verdict, alone } = check;
  const types = keys === values ? keys : `keys ${keys}, values ${values}`;
  const nats = (value: number): string => `${value.toFixed(5)} nats`;
  const rows = [
    ["KV check", `${types} against f16, ${tokens} tokens`],
    ["verdict", verdicts[verdict]],
    ["divergence", `mean ${nats(meanDivergence)}, p99 ${nats(p99Divergence)}`],
    ["same top token", `${(sameTopRate * 100).toFixed(1)}%`],
    ...(alone === undefined
      ? []
      : [
          ["keys alone", `${nats(alone.keys)} (--kv-k)`],
          ["values alone", `${nats(alone.values)} (--kv-v)`],
        ]),
  ];
  return `${table(rows)}\n`;
}

async function checkKv(io: CliIo, path: string, options: InspectOptions): Promise<KvCheckResult> {
  const bar = progressBar(io, "loading");
  try {
    return await checkKvPrecision(path, {
      ...toComputeOptions(options),
      onProgress: bar.update,
      signal: io.signal,
    });
  } finally {
    bar.stop();
  }
}

async function run(io: CliIo, model: string, options: InspectOptions): Promise<void> {
  const path = await resolveModel(model);
  const file = await readGguf(path);
  const report = reportFile(file);
  let problem: AirError | undefined;
  try {
    await describeModel(file);
    createChatTemplate(file.metadata, createTokenizer(file.metadata));
  } catch (error) {
    if (!(error instanceof AirError)) throw error;
    problem = error;
  }
  const kvCheck = options.kvCheck === true ? await checkKv(io, path, options) : undefined;
  if (options.json === true) {
    const support = problem === undefined ? null : { code: problem.code, message: problem.message };
    return writeJson(io, { ...report, problem: support, ...(kvCheck && { kvCheck }) });
  }
  await write(io.stdout, formatReport(report, problem));
  if (kvCheck !== undefined) await write(io.stdout, `\n${formatKvCheck(kvCheck)}`);
}

/** `air inspect`: what is in a model file and what it takes to run it. */
export function inspectCommand(io: CliIo): Command {
  const command = new Command("inspect")
    .summary("show what is in a model file")
    .description(
      "Shows what is in a model file: architecture, shapes, tensors by type, tokenizer, memory needed.",
    )
    .argument("<file>", "GGUF file, or the name of a pulled model")
    .option("--json", "print one JSON object")
    .option("--kv-check", "load the model and check what the precision of the KV cache does to it");
  return addComputeOptions(command)
    .addHelpText("after", examples)
    .action((file: string, options: InspectOptions) => run(io, file, options));
}
