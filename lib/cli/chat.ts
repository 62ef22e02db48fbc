import { existsSync } from "node:fs";

import { Command } from "commander";

import { AirError } from "../errors/air-error.js";
import type { Model, Session } from "../index.js";
import { type Conversation, converse } from "./conversation.js";
import { type CliIo, note, write } from "./io.js";
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

interface ChatOptions extends ModelOptions, SamplingOptions, SpeculationCliOptions {
  readonly system?: string;
  readonly session?: string;
}

const examples = `
In the chat: /reset forgets the conversation, /exit (or Ctrl-D) leaves, Ctrl-C stops an answer
and forgets that turn. With piped stdin every line is one turn.

Examples:
  air chat
  air chat -m model.gguf --system "Answer in one sentence." --temp 0.7
  air chat -m model.gguf --session today.air
  printf 'What is 3 times 4?\\nWhat is 5 times 6?\\n' | air chat`;

/** One conversation, and one turn of it at a time. */
class ModelConversation implements Conversation {
  readonly #io: CliIo;
  readonly #model: Model;
  readonly #options: ChatOptions;
  #session: Session;

  constructor(io: CliIo, model: Model, options: ChatOptions) {
    this.#io = io;
    this.#model = model;
    this.#options = options;
    this.#session = this.#open();
  }

  /** Goes on from the session file, if it is there. One that cannot be used is an error, because it would be replaced. */
  async restore(): Promise<void> {
    const { session } = this.#options;
    if (session === undefined || !existsSync(session)) return;
    await this.#session.restore(session);
    note(this.#io, `going on from ${session} (${this.#session.messages.length} messages)`);
  }

  reset(): void {
    this.#session.close();
    this.#session = this.#open();
  }

  /** Streams the answer. A stopped turn is forgotten. */
  async turn(text: string, signal: AbortSignal): Promise<void> {
    const { stdout } = this.#io;
    try {
      const options = { ...toGenerateOptions(this.#options, signal), ...toSpeculation(this.#options) };
      for await (const piece of this.#session.chat(text, options)) {
        await write(stdout, piece.text);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    await write(stdout, "\n");
    if (this.#options.session !== undefined) await this.#session.save(this.#options.session);
  }

  #open(): Session {
    const { system } = this.#options;
    return this.#model.createSession(system === undefined ? {} : { system });
  }
}

function requireChatTemplate(model: Model): void {
  if (model.chatTemplate !== undefined) return;
  throw new AirError(
    "AIR_ERR_TEMPLATE",
    "expected a chat template for the model but received a file without one",
  );
}

async function run(io: CliIo, options: ChatOptions): Promise<void> {
  const opened = await openModel(io, options, toDraftOptions(options));
  using model = opened.model;
  requireChatTemplate(model);
  const conversation = new ModelConversation(io, model, options);
  await conversation.restore(); // first, because an interface hands out lines whether or not somebody waits for them
  await converse(io, conversation);
}

/** `air chat`: a conversation in the terminal, or one turn per line of piped stdin. */
export function chatCommand(io: CliIo): Command {
  const command = new Command("chat")
    .summary("have a conversation")
    .description("Has a conversation, keeping its history. With piped stdin every line is one turn.");
  return addSpeculationOptions(addSamplingOptions(addModelOptions(command)))
    .option("--system <text>", "system message at the start")
    .option("--session <file>", "go on from this file, and save the conversation there after every turn")
    .addHelpText("after", examples)
    .action((options: ChatOptions) => run(io, options));
}
