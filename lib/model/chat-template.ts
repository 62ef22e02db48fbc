import { Template } from "@huggingface/jinja";

import { AirError, describeValue, reasonOf } from "../errors/air-error.js";
import { getString, type Metadata } from "./metadata.js";
import type { Tokenizer } from "./tokenizer.js";

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

export interface ChatTemplateOptions {
  /** End with the start of an assistant turn, for the model to continue. Default true. */
  readonly addGenerationPrompt?: boolean;
  /** Further variables that the template reads, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** A model's own way to write a conversation down. */
export interface ChatTemplate {
  /**
   * The conversation as text. In it, control tokens of the template and the same text in a message look alike: use
   * encode() for what goes to a model.
   * @throws {AirError} AIR_ERR_TEMPLATE when the template refuses the messages.
   */
  render(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string;
  /**
   * The conversation as token ids. Control tokens come from the template only; the same text in a message is plain
   * text. Starts with the beginning-of-sequence token once, if the model wants it.
   * @throws {AirError} AIR_ERR_TEMPLATE when the template refuses the messages.
   */
  encode(messages: readonly ChatMessage[], options?: ChatTemplateOptions): Int32Array;
}

const templateKey = "tokenizer.chat_template";
const roles: readonly string[] = ["system", "user", "assistant"];

/**
 * The chat template of a model file, or undefined when the file has none.
 * @throws {AirError} AIR_ERR_TEMPLATE when the template is no valid Jinja.
 */
export function createChatTemplate(metadata: Metadata, tokenizer: Tokenizer): ChatTemplate | undefined {
  if (!metadata.has(templateKey)) return undefined;
  const source = getString(metadata, templateKey);
  const template = attempt("a Jinja template", () => new Template(source));
  const tokenText = (id: number | undefined): string =>
    id === undefined ? "" : Buffer.from(tokenizer.tokenBytes(id)).toString();
  const constants = { bos_token: tokenText(tokenizer.bosId), eos_token: tokenText(tokenizer.eosId) };

  const render = (messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): string => {
    requireMessages(messages);
    return attempt("messages that the template accepts", () =>
      template.render({
        // Templates test these with `is none`; absent ones would count as given.
        tools: null,
        documents: null,
        ...constants,
        ...options.variables,
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: options.addGenerationPrompt ?? true,
      }),
    );
  };
  const encode = (messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): Int32Array => {
    requireMessages(messages);
    const contents = messages.map(({ content }) => content).join("\n");
    const disguise = createDisguise(tokenizer.controlTexts, contents, source);
    const disguised = messages.map(({ role, content }) => ({ role, content: disguise.put(content) }));
    const segments = tokenizer
      .partition(render(disguised, options))
      .map((segment) => (typeof segment === "string" ? disguise.remove(segment) : segment));
    const needsBos = tokenizer.addBos && tokenizer.bosId !== undefined && segments[0] !== tokenizer.bosId;
    return tokenizer.encodeSegments(needsBos ? [tokenizer.bosId, ...segments] : segments);
  };
  return { render, encode };
}

/** Makes control tokens in messages unrecognisable while a template is rendered and cut at control tokens. */
interface Disguise {
  put(content: string): string;
  remove(text: string): string;
}

/**
 * Replaces the first character of every control token text, overlapping ones too, by a private-use character that
 * stands for it and occurs neither in the messages nor in the template.
 */
function createDisguise(controlTexts: readonly string[], contents: string, template: string): Disguise {
  const present = controlTexts.filter((text) => contents.includes(text));
  if (present.length === 0) return { put: (content) => content, remove: (text) => text };
  const firstCharacters = new Set(present.map((text) => String.fromCodePoint(text.codePointAt(0) ?? 0)));
  const standIns = chooseStandIns(firstCharacters, contents + template);
  const starts = new RegExp(`(?=${present.map(escapeRegExp).join("|")}).`, "gsu");
  return {
    put: (content) => content.replace(starts, (character) => standIns.get(character) ?? character),
    remove: (text) =>
      [...standIns].reduce((rest, [character, standIn]) => rest.replaceAll(standIn, character), text),
  };
}

function chooseStandIns(characters: ReadonlySet<string>, text: string): ReadonlyMap<string, string> {
  const used = new Set(text);
  let code = 0xf0000; // the first private-use plane, 65,534 characters
  return new Map(
    Array.from(characters, (character) => {
      while (used.has(String.fromCodePoint(code))) code++;
      return [character, String.fromCodePoint(code++)];
    }),
  );
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

function requireMessages(messages: readonly ChatMessage[]): void {
  for (const { role, content } of messages) {
    if (!roles.includes(role))
      throw templateError("a message role", "system, user or assistant", describeValue(role));
    if (typeof content !== "string") {
      throw templateError("the content of a message", "a string", describeValue(content));
    }
  }
}

function attempt<T>(expected: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const reason = reasonOf(error);
    throw templateError("the chat template", expected, reason, error);
  }
}

function templateError(subject: string, expected: string, received: string, cause?: unknown): AirError {
  const message = `expected ${expected} for ${subject} but received ${received}`;
  return new AirError("AIR_ERR_TEMPLATE", message, cause === undefined ? undefined : { cause });
}
