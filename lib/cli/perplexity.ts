import { Command } from "commander";

import { perplexity, type PerplexityResult } from "../index.js";
import { type CliIo, readText, write, writeJson } from "./io.js";
import { openModel, progressBar } from "./load.js";
import { addModelOptions, integer, type ModelOptions } from "./options.js";

interface PerplexityOptions extends ModelOptions {
  readonly file: string;
  readonly stride?: number;
  readonly json?: boolean;
}

const defaultContext = 512;

const examples = `
The text is cut into windows of ctx - 1 tokens, each preceded by BOS if the model adds one. Every token of a
window is scored; a partial window at the end is dropped. A stride below ctx moves the window by less and
scores only what is new, so that every token sees more context.

Examples:
  air perplexity -m model.gguf -f eval.txt
  air perplexity -m model.gguf -f eval.txt --kv f16 --ctx 1024 --stride 256 --json`;

async function run(io: CliIo, options: PerplexityOptions): Promise<void> {
  const text = await readText(io, options.file);
  const contextTokens = options.ctx ?? defaultContext;
  const opened = await openModel(io, { ...options, ctx: contextTokens });
  using model = opened.model;
  const bar = progressBar(io, "scoring");
  let result: PerplexityResult;
  try {
    result = await perplexity(model, model.tokenizer.encode(text, { special: false, bos: false }), {
      contextTokens,
      stride: options.stride ?? contextTokens,
      onProgress: bar.update,
      signal: io.signal,
    });
  } finally {
    bar.stop();
  }
  const { perplexity: value, tokens, meanNll } = result;
  if (options.json === true) {
    await writeJson(io, { perplexity: value, tokens, meanNll });
  } else {
    const nats = meanNll.toFixed(5);
    await write(io.stdout, `perplexity ${value.toFixed(4)}   mean NLL ${nats} nats   ${tokens} tokens\n`);
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
      integer("--stride", { min: 1, max: 1 << 24 }),
    )
    .option("--json", "print one JSON object")
    .addHelpText("after", examples)
    .action((options: PerplexityOptions) => run(io, options));
}
