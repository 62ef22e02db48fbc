import { Command } from "commander";

import { invalidArgument } from "../errors/air-error.js";
import { type MemoryPlan, type ModelMemoryPlan, planModel, type PlanModelOptions } from "../index.js";
import { pickGiven } from "../util/options.js";
import { type CliIo, write, writeJson } from "./io.js";
import { modelFile, withDraftFile } from "./load.js";
import {
  addKvLimitOptions,
  addKvTypeOptions,
  byteSize,
  integer,
  type KvLimitOptions,
  type KvTypeOptions,
  maxTokens,
  modelFileOption,
  toKvTypes,
} from "./options.js";
import { formatBytes, table } from "./text.js";

interface PlanOptions extends KvTypeOptions, KvLimitOptions {
  readonly model?: string;
  readonly memory?: number;
  readonly ctx?: number;
  readonly sequences: number;
  readonly draft?: string;
  readonly threads?: number;
  readonly json?: boolean;
}

const examples = `
Only the file's header is read. What is needed has 20% headroom; what the system can drop and read again from
the file does not count. Loading a model applies the same plan, and --force overrides it.

Examples:
  air plan -m model.gguf
  air plan -m model.gguf --memory 8GiB --ctx 32768 --kv int4
  air plan -m model.gguf --memory 8GiB --window 1024 --json`;

type Row = readonly [label: string, bytes: string, remark: string];

function row(label: string, bytes: number, remark = ""): Row {
  return [label, formatBytes(bytes), remark];
}

function groupRemark({ kvGroups, kvBytesPerToken }: ModelMemoryPlan): string {
  const pages = kvGroups.map(({ kind, pages, pageBytes }) => {
    const name = kind === "stream" ? " of streaming heads" : "";
    return `${pages} pages${name} of ${formatBytes(pageBytes)}`;
  });
  return `${pages.join(" and ")}, ${formatBytes(kvBytesPerToken)} a token`;
}

function modelRows(plan: ModelMemoryPlan, owner: string): readonly Row[] {
  return [
    row(`${owner}weights`, plan.weightBytes, "packed"),
    row(`${owner}embedding`, plan.embeddingBytes, "read from the file"),
    row(`${owner}KV cache`, plan.kvBytes, groupRemark(plan)),
    row(`${owner}buffers`, plan.bufferBytes, "activations, logits, threads"),
  ];
}

function suggestionLines({ suggestions }: MemoryPlan): readonly string[] {
  if (suggestions.length === 0) return ["nothing but a smaller model helps"];
  const rows = suggestions.map(({ text, savedBytes, fits }) => [
    `- ${text}`,
    `saves ${formatBytes(savedBytes)}`,
    fits ? "and fits" : "",
  ]);
  return ["what helps:", table(rows)];
}

/** The plan for people: where memory goes, whether there is enough, and what to change otherwise. */
export function formatPlan(plan: MemoryPlan): string {
  const rows: readonly Row[] = [
    ...modelRows(plan, ""),
    ...(plan.draft === undefined ? [] : modelRows(plan.draft, "draft ")),
    row("process", plan.processBytes, "Node, tokenizer"),
    row("total", plan.totalBytes, "once the context is full"),
    row(
      "needed",
      plan.neededBytes,
      `without what the system can drop, with ${formatBytes(plan.headroomBytes)} headroom`,
    ),
    row("available", plan.availableBytes, plan.fits ? "fits" : "does not fit"),
  ];
  const largest = plan.maxContext > 0 ? `${plan.maxContext} tokens` : "none";
  return [
    table(rows, ["left", "right", "left"]),
    "",
    `largest context that fits: ${largest}`,
    ...(plan.fits ? [] : suggestionLines(plan)),
    "",
  ].join("\n");
}

/**
 * The library's names for what the command line asked; absent options stay absent, so its defaults hold.
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT for --sinks without --window
 */
export function toPlanOptions(options: PlanOptions): PlanModelOptions {
  const { ctx, window, sinks, memory } = options;
  if (sinks !== undefined && window === undefined)
    throw invalidArgument("--sinks", "--window beside it", sinks);
  return {
    ...toKvTypes(options),
    ...pickGiven(options, ["sequences", "window", "sinks", "heads", "draft", "threads"]),
    ...(ctx !== undefined && { contextTokens: ctx }),
    ...(memory !== undefined && { memoryBytes: memory }),
  };
}

async function run(io: CliIo, options: PlanOptions): Promise<void> {
  const asked = await withDraftFile(toPlanOptions(options));
  const plan = await planModel(await modelFile(io, options.model), asked);
  if (options.json === true) await writeJson(io, plan);
  else await write(io.stdout, formatPlan(plan));
}

/** `air plan`: what a model will take in memory, and whether that is there. */
export function planCommand(io: CliIo): Command {
  const command = new Command("plan")
    .summary("say how much memory a model will need")
    .description("Says from a file's header how much memory the model will need, and whether that is there.")
    .addOption(modelFileOption())
    .option(
      "--memory <size>",
      "memory to plan for, such as 8GiB (default: what is available)",
      byteSize("--memory"),
    )
    .option(
      "--ctx <tokens>",
      "context length (default: what the model was trained for, at most 4096)",
      integer("--ctx", { min: 2, max: maxTokens }),
    )
    .option(
      "--sequences <n>",
      "texts that are held at a time, each of the whole context",
      integer("--sequences", { min: 1, max: 65_536 }),
      1,
    );
  return addKvLimitOptions(addKvTypeOptions(command))
    .option("--draft <file>", "GGUF file of a draft model beside it")
    .option(
      "--threads <n>",
      "compute threads (default: one per CPU)",
      integer("--threads", { min: 1, max: 1024 }),
    )
    .option("--json", "print one JSON object")
    .addHelpText("after", examples)
    .action((options: PlanOptions) => run(io, options));
}
