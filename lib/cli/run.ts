import { Command } from "commander";

import { invalidArgument } from "../errors/air-error.js";
import type { ChatMessage } from "../model/chat-template.js";
import { AirRuntime } from "../tiers/air-runtime.js";
import type { RoutedOptions } from "../tiers/runtime-types.js";
import { readConfig } from "../tiers/config.js";
import type { RoutedResult } from "../tiers/routed-reply.js";
import { pickGiven } from "../util/options.js";
import { type Conversation, converse } from "./conversation.js";
import { type CliIo, note, readLines, write, writeJson } from "./io.js";
import { addSamplingOptions, integer, type SamplingOptions, toGenerateOptions } from "./options.js";

interface RunOptions extends Partial<SamplingOptions> {
  readonly config: string;
  readonly file?: string;
  readonly system?: string;
  readonly tier?: string;
  readonly minTier?: string;
  readonly maxTier?: string;
  readonly deadline?: number;
  readonly localOnly?: boolean;
  readonly json?: boolean;
}

const examples = `
The configuration names the tiers, the smallest first; docs/configuration.md explains it. Without a prompt this
is a conversation: on a terminal as in \`air chat\`, with piped stdin every line is one turn.

Examples:
  air run --config air.config.json "What is the capital of France?"
  air run --config air.config.json
  air run --config air.config.json --file prompts.txt --json
  air run --config air.config.json --max-tier medium --deadline 5000 "Summarise what a mutex is."`;

/** Which tier answered, and why, in one line for people. */
export function formatReply({ tier, decision, attempts, timings }: RoutedResult): string {
  const speed =
    timings.decodeTokensPerSecond > 0 ? `, ${timings.decodeTokensPerSecond.toFixed(1)} tokens/s` : "";
  const before = attempts
    .slice(0, -1)
    .map(({ tier: name, outcome, reason }) => `${name} ${outcome} (${reason})`);
  const history = before.length === 0 ? "" : `; before: ${before.join(", ")}`;
  return `${tier} (${decision.reason}, score ${decision.score.toFixed(2)}${speed})${history}`;
}

function reportOf({
  text,
  tier,
  decision,
  attempts,
  finishReason,
  promptTokens,
  tokens,
  timings,
}: RoutedResult) {
  return {
    text,
    tier,
    score: decision.score,
    confidence: decision.confidence,
    reason: decision.reason,
    detail: decision.detail,
    attempts,
    finishReason,
    promptTokens,
    tokens: tokens.length,
    timings,
  };
}

/** Prompts, one after the other. */
class RoutedConversation implements Conversation {
  readonly #io: CliIo;
  readonly #runtime: AirRuntime;
  readonly #options: RunOptions;
  #messages: ChatMessage[] = [];

  constructor(io: CliIo, runtime: AirRuntime, options: RunOptions) {
    this.#io = io;
    this.#runtime = runtime;
    this.#options = options;
    this.reset();
  }

  reset(): void {
    const { system } = this.#options;
    this.#messages = system === undefined ? [] : [{ role: "system", content: system }];
  }

  /** Answers a message; a turn that fails or is stopped is forgotten. */
  async turn(text: string, signal: AbortSignal): Promise<void> {
    const { stdout } = this.#io;
    const isJson = this.#options.json === true;
    const messages: ChatMessage[] = [...this.#messages, { role: "user", content: text }];
    const reply = this.#runtime.generate(messages, this.#requestOptions(signal));
    try {
      for await (const piece of reply) if (!isJson) await write(stdout, piece.text);
    } catch (error) {
      if (!signal.aborted) throw error;
      if (!isJson) await write(stdout, "\n");
      return;
    }
    const result = await reply.result;
    this.#messages = [...messages, { role: "assistant", content: result.text }];
    if (isJson) return writeJson(this.#io, reportOf(result));
    await write(stdout, "\n");
    if (this.#io.stderr.isTTY === true) note(this.#io, formatReply(result));
  }

  #requestOptions(signal: AbortSignal): RoutedOptions {
    const { deadline, temp = 0, maxTokens, ...rest } = this.#options;
    const sampling: SamplingOptions = { ...rest, temp, maxTokens: maxTokens ?? 512 };
    return {
      ...toGenerateOptions(sampling, signal),
      ...pickGiven(this.#options, ["tier", "minTier", "maxTier", "localOnly"]),
      ...(deadline !== undefined && { deadlineMs: deadline }),
    };
  }
}

async function run(io: CliIo, prompt: string | undefined, options: RunOptions): Promise<void> {
  const { file, config } = options;
  if (file !== undefined && prompt !== undefined)
    throw invalidArgument("--file", "no prompt beside it", prompt);
  const lines = file === undefined ? undefined : await readLines(io, file);
  await using runtime = await AirRuntime.create(await readConfig(config), {
    onEvent: (event) => {
      if (io.stderr.isTTY === true && event.kind !== "throttle") note(io, `${event.tier}: ${event.kind}`);
    },
  });
  const conversation = new RoutedConversation(io, runtime, options);
  if (prompt !== undefined) await conversation.turn(prompt, io.signal);
  else if (lines === undefined) await converse(io, conversation);
  else {
    for (const line of lines) {
      if (io.signal.aborted) return;
      conversation.reset(); // prompts of a file have nothing to do with each other
      await conversation.turn(line, io.signal);
    }
  }
}

/** `air run`: prompts through the tiers of a configuration. */
export function runCommand(io: CliIo): Command {
  const command = new Command("run")
    .summary("answer with the smallest tier that can")
    .description(
      "Answers prompts with the tiers of a configuration: each with the smallest that can handle it.",
    )
    .argument("[prompt]", "the prompt (default: a conversation)")
    .requiredOption("--config <file>", "configuration of the tiers")
    .option("--file <file>", 'prompts, one per line; "-" reads stdin')
    .option("--system <text>", "system message at the start")
    .option("--tier <name>", "the tier that has to answer")
    .option("--min-tier <name>", "the smallest tier that may answer")
    .option("--max-tier <name>", "the largest tier that may answer")
    .option(
      "--deadline <ms>",
      "milliseconds in which the answer is wanted",
      integer("--deadline", { min: 1, max: 1e9 }),
    )
    .option("--local-only", "send nothing to remote tiers");
  return addSamplingOptions(command)
    .option("--json", "print one JSON object per answer")
    .addHelpText("after", examples)
    .action((prompt: string | undefined, options: RunOptions) => run(io, prompt, options));
}
