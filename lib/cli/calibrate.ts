import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";

import { Command } from "commander";

import { calibrate, formatHeadsFile, type HeadsFile } from "../index.js";
import { kvFraction } from "../model/heads-file.js";
import { writeWhole } from "../util/text-file.js";
import { type CliIo, note, readText, write, writeJson } from "./io.js";
import { modelFile, progressBar } from "./load.js";
import {
  addComputeOptions,
  type ComputeOptions,
  decimal,
  fraction,
  integer,
  maxTokens,
  modelFileOption,
  toComputeOptions,
} from "./options.js";
import { table } from "./text.js";

interface CalibrateCommandOptions extends ComputeOptions {
  readonly model?: string;
  readonly window?: number;
  readonly sinks?: number;
  readonly ctx?: number;
  readonly file: string;
  readonly output: string;
  readonly budget?: number;
  readonly layerCap: number;
  readonly maxPplIncrease?: number;
  readonly ffnBudget: number;
  readonly scoreTokens: number;
  readonly holdoutTokens: number;
  readonly json?: boolean;
}

const examples = `
Without --budget and --ffn-budget, KV heads that can do with sinks and a window are looked for, as many as keep
perplexity within 1%. With --budget, that share of the query heads is masked: those whose absence changes
predictions least. Scores are kept in OUTPUT.scores until the end, so that a calibration that was stopped goes
on where it was.

Examples:
  air calibrate -m model.gguf -f text.txt -o heads.json
  air calibrate -m model.gguf -f text.txt --budget 0.25 -o heads.json
  air chat -m model.gguf --heads heads.json`;

/** Contexts that the table shows. */
const shownContexts = [1024, 4096, 16384];

function summary(heads: HeadsFile): string {
  const classes = heads.kvHeads.flat();
  const count = (name: string): number => classes.filter((headClass) => headClass === name).length;
  const sum = (lists: readonly (readonly number[])[]): number =>
    lists.reduce((total, list) => total + list.length, 0);
  const queryHeads = sum(heads.scores.queryHeads.map((layer) => layer.map(() => 1)));
  const { perplexityBefore, perplexity, meanDivergence } = heads.expected;
  const increase = (perplexity / perplexityBefore - 1) * 100;
  const rows = [
    ["KV heads", `${count("full")} full, ${count("stream")} stream, ${count("dropped")} dropped`],
    ["query heads", `${sum(heads.maskedQueryHeads)} of ${queryHeads} masked`],
    ["channel groups", `${sum(heads.prunedChannelGroups)} pruned`],
    [
      "perplexity",
      `${perplexityBefore.toFixed(3)} -> ${perplexity.toFixed(3)} (${increase.toFixed(2)}%) on held out text`,
    ],
    ["divergence", `${meanDivergence.toFixed(5)} nats per token`],
    ...shownContexts.map((tokens) => [
      `KV at ${tokens} tokens`,
      `${((1 - kvFraction(heads, tokens)) * 100).toFixed(1)}% less`,
    ]),
  ];
  return `${table(rows)}\n`;
}

async function run(io: CliIo, options: CalibrateCommandOptions): Promise<void> {
  const text = await readText(io, options.file);
  const file = modelFile(io, options.model);
  const bar = progressBar(io, "calibrating");
  const journal = `${options.output}.scores`;
  let heads: HeadsFile;
  try {
    heads = await calibrate(file, text, {
      layerCap: options.layerCap,
      channelBudget: options.ffnBudget,
      scoreTokens: options.scoreTokens,
      holdoutTokens: options.holdoutTokens,
      journal,
      signal: io.signal,
      onProgress: ({ fraction: done, label, etaSeconds }) => {
        const eta = etaSeconds === undefined ? "" : `, ${Math.ceil(etaSeconds)} s left`;
        bar.update(done, `${label}${eta}`);
      },
      ...(options.budget !== undefined && { budget: options.budget }),
      ...(options.maxPplIncrease !== undefined && { maxPerplexityIncrease: options.maxPplIncrease }),
      ...(options.window !== undefined && { windowTokens: options.window }),
      ...(options.sinks !== undefined && { sinkTokens: options.sinks }),
      ...(options.ctx !== undefined && { contextTokens: options.ctx }),
      ...toComputeOptions(options),
    });
  } catch (error) {
    if (io.signal.aborted && existsSync(journal))
      note(io, `scores so far are in ${journal}; the same command goes on from there`);
    throw error;
  } finally {
    bar.stop();
  }
  await writeWhole(options.output, formatHeadsFile(heads));
  await rm(journal, { force: true });
  if (options.json === true) await writeJson(io, heads);
  else await write(io.stdout, summary(heads));
}

/** `air calibrate`: which heads a model can do without. */
export function calibrateCommand(io: CliIo): Command {
  const command = new Command("calibrate")
    .summary("find out which heads a model can do without")
    .description("Finds out which heads and channels a model can do without, for --heads.")
    .addOption(modelFileOption())
    .requiredOption("-f, --file <text>", 'text like that of your use, several contexts long; "-" reads stdin')
    .requiredOption("-o, --output <file>", "heads file to write")
    .option("--budget <fraction>", "query heads to mask, of all", fraction("--budget"))
    .option(
      "--layer-cap <fraction>",
      "most of a layer's heads that may go",
      decimal("--layer-cap", { min: 0, max: 1 }),
      0.5,
    )
    .option(
      "--max-ppl-increase <p>",
      "demote KV heads within this, such as 1%",
      fraction("--max-ppl-increase"),
    )
    .option("--ffn-budget <fraction>", "feed-forward channels to prune, of all", fraction("--ffn-budget"), 0)
    .option(
      "--window <tokens>",
      "what demoted heads see (default: 252)",
      integer("--window", { min: 1, max: maxTokens }),
    )
    .option(
      "--sinks <tokens>",
      "first tokens that they see too (default: 4)",
      integer("--sinks", { min: 0, max: maxTokens }),
    )
    .option(
      "--ctx <tokens>",
      "tokens per text (default: the trained context, at most 1024)",
      integer("--ctx", { min: 2, max: maxTokens }),
    )
    .option(
      "--score-tokens <n>",
      "tokens to score each head on",
      integer("--score-tokens", { min: 1, max: maxTokens }),
      4096,
    )
    .option(
      "--holdout-tokens <n>",
      "tokens that decide how far to go",
      integer("--holdout-tokens", { min: 1, max: maxTokens }),
      8192,
    );
  return addComputeOptions(command)
    .option("--json", "print the heads file")
    .addHelpText("after", examples)
    .action((options: CalibrateCommandOptions) => run(io, options));
}
