import { readFile } from "node:fs/promises";

import { Command } from "commander";

import { AirError, invalidArgument, ioError } from "../errors/air-error.js";
import type { ChatMessage, Generation, JsonSchema, Model } from "../index.js";
import { type CliIo, note, textArgument, write, writeJson } from "./io.js";
import { openModel } from "./load.js";
import {
  addModelOptions,
  addSamplingOptions,
  type ModelOptions,
  type SamplingOptions,
  toGenerateOptions,
} from "./options.js";
import {
  addSpeculationOptions,
  type SpeculationCliOptions,
  toDraftOptions,
  toSpeculation,
} from "./speculation-options.js";

interface CommandOptions extends ModelOptions, SamplingOptions, SpeculationCliOptions {
  readonly raw?: boolean;
  readonly special?: boolean;
  readonly system?: string;
  readonly schema?: string;
  readonly json?: boolean;
}

const examples = `
Examples:
  air generate "What is 12 times 7?"
  air generate -m model.gguf --temp 0.7 --seed 1 "Write a haiku about rain."
  air generate -m model.gguf --schema answer.schema.json "Is a whale a fish? Why?"
  cat notes.txt | air generate -m model.gguf --system "Summarise in three sentences." --json
  air generate -m model.gguf --draft small.gguf --json "Explain paging."
  air generate -m model.gguf --raw -n 32 "The capital of France is"`;

function toInput(
  io: CliIo,
  model: Model,
  prompt: string,
  options: CommandOptions,
): string | readonly ChatMessage[] {
  if (options.raw === true) return prompt;
  if (model.chatTemplate === undefined) {
    if (options.system !== undefined) {
      throw new AirError(
        "AIR_ERR_TEMPLATE",
        "expected a chat template for --system but received a model without one",
      );
    }
    note(io, "this model has no chat template; the prompt is continued as it is");
    return prompt;
  }
  const question: ChatMessage = { role: "user", content: prompt };
  return options.system === undefined ? [question] : [{ role: "system", content: options.system }, question];
}

/** The JSON schema of a file; generate() checks that it is one. */
async function readSchema(file: string): Promise<JsonSchema> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw ioError("--schema", "a readable file", error);
  }
  try {
    return JSON.parse(text) as JsonSchema;
  } catch (error) {
    throw invalidArgument("--schema", `a JSON file (${String(error)})`, file);
  }
}

/** Everything a finished generation has to tell a program. */
async function summary(model: Model, generation: Generation, loadMs: number): Promise<object> {
  const { text, tokens, promptTokens, finishReason, timings, speculative } = await generation.result;
  const { weightBytes, kvBytes, draft } = model.memory();
  return {
    text,
    tokens,
    promptTokens,
    finishReason,
    timings: {
      loadMs,
      prefillTokensPerSecond: timings.prefillTokensPerSecond,
      decodeTokensPerSecond: timings.decodeTokensPerSecond,
      timeToFirstTokenMs: timings.timeToFirstTokenMs,
    },
    memory: {
      weightBytes,
      kvBytes,
      draftBytes: draft && draft.weightBytes + draft.kvBytes,
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
    },
    // JSON leaves out what is undefined.
    speculative,
    packCache: model.info.packCache,
  };
}

async function run(io: CliIo, argument: string | undefined, options: CommandOptions): Promise<void> {
  if (options.raw === true && options.system !== undefined) {
    throw invalidArgument("--system", "no system message with --raw", options.system);
  }
  if (options.special === true && options.raw !== true) {
    throw invalidArgument("--special", "--raw beside it (messages are always text)", options.special);
  }
  const text = await textArgument(io, argument);
  if (text === undefined) throw invalidArgument("the prompt", "an argument or piped text", undefined);
  // A shell's echo ends with a newline that is not part of the question.
  const prompt = options.raw === true ? text : text.replace(/\r?\n$/, "");
  if (prompt === "") throw invalidArgument("the prompt", "at least one character", prompt);
  const schema = options.schema === undefined ? undefined : await readSchema(options.schema);
  const opened = await openModel(io, options, toDraftOptions(options));
  using model = opened.model;
  const session = model.createSession();
  const generation = session.generate(toInput(io, model, prompt, options), {
    ...toGenerateOptions(options, io.signal),
    ...toSpeculation(options),
    ...(schema !== undefined && { schema }),
    special: options.special === true,
  });
  for await (const { text: piece } of generation) if (options.json !== true) await write(io.stdout, piece);
  if (options.json === true) await writeJson(io, await summary(model, generation, opened.loadMs));
  else await write(io.stdout, "\n");
}

/** `air generate`: one prompt, one answer. */
export function generateCommand(io: CliIo): Command {
  const command = new Command("generate")
    .summary("answer one prompt")
    .description(
      "Answers one prompt, streaming the text as it comes. The prompt is the argument, or stdin when there is " +
        "none, and goes through the model's chat template as one user message.",
    )
    .argument("[prompt]", "the prompt (default: stdin)");
  return addSpeculationOptions(addSamplingOptions(addModelOptions(command)))
    .option("--system <text>", "system message before the prompt")
    .option("--raw", "continue the prompt as it is, without the chat template")
    .option("--special", "with --raw: read control tokens in the prompt as such, not as text")
    .option("--schema <file>", "answer with a JSON document that this JSON schema allows")
    .option("--json", "print one JSON object at the end instead of streaming")
    .addHelpText("after", examples)
    .action((prompt: string | undefined, options: CommandOptions) => run(io, prompt, options));
}
