import { Command } from "commander";

import { invalidArgument } from "../errors/air-error.js";
import { readGguf } from "../model/gguf.js";
import { createTokenizer } from "../model/tokenizer.js";
import { type CliIo, textArgument, write, writeJson } from "./io.js";
import { modelFile } from "./load.js";
import { modelFileOption } from "./options.js";

interface TokenizeOptions {
  readonly model?: string;
  readonly special?: boolean;
  readonly bos?: boolean;
  readonly json?: boolean;
}

const examples = `
Examples:
  air tokenize -m model.gguf "Hello, world"
  air tokenize -m model.gguf --json < article.txt`;

async function run(io: CliIo, argument: string | undefined, options: TokenizeOptions): Promise<void> {
  const text = await textArgument(io, argument);
  if (text === undefined) throw invalidArgument("the text", "an argument or piped text", undefined);
  const { metadata } = await readGguf(await modelFile(io, options.model));
  const tokenizer = createTokenizer(metadata);
  const tokens = [
    ...tokenizer.encode(text, { special: options.special === true, bos: options.bos === true }),
  ];
  if (options.json === true) return writeJson(io, { tokens });
  const lines = tokens.map(
    (id) => `${String(id).padStart(7)}  ${JSON.stringify(tokenizer.decode([id], { special: true }))}\n`,
  );
  await write(io.stdout, lines.join(""));
}

/** `air tokenize`: a text as the model's token ids. */
export function tokenizeCommand(io: CliIo): Command {
  return new Command("tokenize")
    .summary("show a text as token ids")
    .description(
      "Shows a text as the model's token ids, one per line. Special tokens in the text are plain text.",
    )
    .argument("[text]", "the text (default: stdin, exactly as it is)")
    .addOption(modelFileOption())
    .option("--special", "read special tokens in the text as such")
    .option("--bos", "put the beginning-of-sequence token first")
    .option("--json", 'print {"tokens": [...]}')
    .addHelpText("after", examples)
    .action((text: string | undefined, options: TokenizeOptions) => run(io, text, options));
}
