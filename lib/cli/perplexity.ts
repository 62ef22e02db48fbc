import { Command } from "commander";

import {
  divergence,
  type DivergenceResult,
  type Model,
  perplexity,
  type PerplexityResult,
} from "../index.js";
import { type CliIo, readText, write, writeJson } from "./io.js";
import { pickGiven } from "../util/options.js";
import { openModel, progressBar } from "./load.js";
import { addModelOptions, integer, maxTokens, type ModelOptions } from "./options.js";

interface PerplexityOptions extends ModelOptions {
  readonly file: string;
  readonly stride?: number;
  readonly klAgainst?: string;
  readonly json?: boolean;
}

const defaultContext = 512;

const examples = `
The text is cut into windows of ctx - 1 tokens, each preceded by BOS if the model adds one. Every token of a
window is scored; a partial window at the end is dropped. A stride below ctx moves the window by less and
scores only what is new, so that every token sees more context.

Examples:
  air perplexity -m model.gguf -f eval.txt
  air perplexity -m model.gguf -f eval.txt --kv f16 --ctx 1024 --stride 256 --json
  air perplexity -m model.gguf -f eval.txt --kv-k int4 --kv-v int4 --kl-against f16
  air perplexity -m model-q4_0.gguf -f eval.txt --heads heads.json --kl-against model-f16.gguf`;

/** The model that --kl-against names: another file, or the same one with everything kept in float16. */
async function openReference(io: CliIo, options: PerplexityOptions, ctx: number): Promise<Model> {
  const { klAgainst = "f16", model } = options;
  const file = klAgainst === "f16" ? model : klAgainst;
  const plain: ModelOptions = {
    kv: "f16",
    ctx,
    ...(file !== undefined && { model: file }),
    ...pickGiven(options, ["device", "gpuLayers", "threads", "cpuList", "priority", "packCache", "force"]),
  };
  return (await openModel(io, plain)).model;
}

function divergenceLines({
  meanDivergence,
  p99Divergence,
  sameTopRate,
  reference,
}: DivergenceResult): string {
  return (
    `reference  ${reference.perplexity.toFixed(4)}\n` +
    `divergence mean ${meanDivergence.toFixed(6)}   p99 ${p99Divergence.toFixed(5)} nats   ` +
    `same top token ${(sameTopRate * 100).toFixed(2)}%\n`
  );
}

async function run(io: CliIo, options: PerplexityOptions): Promise<void> {
  const text = await readText(io, options.file);
  const contextTokens = options.ctx ?? defaultContext;
  const opened = await openModel(io, { ...options, ctx: contextTokens });
  using model = opened.model;
  const bar = progressBar(io, "scoring");
  const ids = model.tokenizer.encode(text, { special: false, bos: false });
  const stride = options.stride ?? contextTokens;
  const settings = { contextTokens, stride, onProgress: bar.update, signal: io.signal };
  let result: PerplexityResult;
  let compared: DivergenceResult | undefined;
  try {
    if (options.klAgainst === undefined) result = await perplexity(model, ids, settings);
    else {
      using reference = await openReference(io, options, contextTokens);
      compared = await divergence(model, reference, ids, settings);
      result = compared.model;
    }
  } finally {
    bar.stop();
  }
  const { perplexity: value, tokens, meanNll } = result;
  if (options.json === true) {
    const { meanDivergence, p99Divergence, sameTopRate, reference } = compared ?? {};
    const against = compared && {
      meanDivergence,
      p99Divergence,
      sameTopRate,
      referencePerplexity: reference?.perplexity,
    };
    await writeJson(io, { perplexity: value, tokens, meanNll, ...against });
  } else {
    const nats = meanNll.toFixed(5);
    await write(io.stdout, `perplexity ${value.toFixed(4)}   mean NLL ${nats} nats   ${tokens} tokens\n`);
    if (compared !== undefined) await write(io.stdout, divergenceLines(compared));
  }
}

/** `air perplexity`: how well a model predicts a text. */
export function perplexityCommand(io: CliIo): Command {
  const command = new Command("perplexity")
    .summary("measure how well a model predicts a text")
    .description(
      "Measures how well a model predicts a text: exp of the mean negative log likelihood per token.",
    )
    .requiredOption("-f, --file <text>", 'text file to score; "-" reads stdin');
  return addModelOptions(command, defaultContext)
    .option(
      "--stride <tokens>",
      "how far each window moves (default: the context length)",
      integer("--stride", { min: 1, max: maxTokens }),
    )
    .option(
      "--kl-against <file>",
      "also compare with another model of the same vocabulary, or with this one and a float16 cache: f16",
    )
    .option("--json", "print one JSON object")
    .addHelpText("after", examples)
    .action((options: PerplexityOptions) => run(io, options));
}
