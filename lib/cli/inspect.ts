import { Command } from "commander";

import { AirError } from "../errors/air-error.js";
import { describeModel } from "../model/architecture.js";
import { createChatTemplate } from "../model/chat-template.js";
import { readGguf } from "../model/gguf.js";
import { createTokenizer } from "../model/tokenizer.js";
import { type FileReport, reportFile } from "./file-report.js";
import { type CliIo, write, writeJson } from "./io.js";
import { formatBytes, formatCount, table } from "./text.js";

const examples = `
Only the file's header is read, so this is quick for a file of any size, and works for files that air cannot run.

Examples:
  air inspect model.gguf
  air inspect model.gguf --json`;

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

async function run(io: CliIo, path: string, options: { readonly json?: boolean }): Promise<void> {
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
  if (options.json === true) {
    const support = problem === undefined ? null : { code: problem.code, message: problem.message };
    return writeJson(io, { ...report, problem: support });
  }
  await write(io.stdout, formatReport(report, problem));
}

/** `air inspect`: what is in a model file and what it takes to run it. */
export function inspectCommand(io: CliIo): Command {
  return new Command("inspect")
    .summary("show what is in a model file")
    .description(
      "Shows what is in a model file: architecture, shapes, tensors by type, tokenizer, memory needed.",
    )
    .argument("<file>", "GGUF file")
    .option("--json", "print one JSON object")
    .addHelpText("after", examples)
    .action((file: string, options: { readonly json?: boolean }) => run(io, file, options));
}
