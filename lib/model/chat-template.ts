import { Template } from "@huggingface/jinja";

import { AirError, describeValue, reasonOf } from "../errors/air-error.js";
import { getString, type Metadata } from "./metadata.js";
import type { Tokenizer } from "./tokenizer.js";
import { type ToolDefinition, withToolInstruction } from "./tools.js";

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
  /**
   * The same message as a template that knows tools takes it, such as one of role `tool` or with `tool_calls`; used in
   * place of role and content by such templates only.
   */
  readonly toolForm?: Readonly<Record<string, unknown>> | undefined;
}

export interface ChatTemplateOptions {
  /**
   * Functions that the model may call. A template that does not know tools gets them as an instruction in the system
   * message.
   */
  readonly tools?: readonly ToolDefinition[] | undefined;
  /** End with the start of an assistant turn, for the model to continue. Default true. */
  readonly addGenerationPrompt?: boolean;
  /** Further variables that the template reads, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** A model's own way to write a conversation down. */
export interface ChatTemplate {
  /** Whether the template writes tools down in its own way. */
  readonly knowsTools: boolean;
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

  const knowsTools = /\btools\b/.test(source);

  /** Messages and tools as the template takes them. */
  const conversationOf = (
    given: readonly ChatMessage[],
    { tools = [] }: ChatTemplateOptions,
  ): TemplateConversation => {
    requireMessages(given);
    const messages: readonly ChatMessage[] =
      tools.length === 0 || knowsTools ? given : withToolInstruction(given, tools);
    return {
      messages: messages.map(({ role, content, toolForm }) =>
        knowsTools && toolForm !== undefined ? toolForm : { role, content },
      ),
      // Templates test this with `is none`; an absent one would count as given.
      tools: knowsTools && tools.length > 0 ? tools : null,
    };
  };
  const renderConversation = (
    conversation: TemplateConversation,
    { variables, addGenerationPrompt = true }: ChatTemplateOptions,
  ): string =>
    attempt("messages that the template accepts", () =>
      template.render({
        documents: null, // as tools
        ...constants,
        ...variables,
        ...conversation,
        add_generation_prompt: addGenerationPrompt,
      }),
    );
  const render = (messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): string =>
    renderConversation(conversationOf(messages, options), options);
  const encode = (messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): Int32Array => {
    const conversation = conversationOf(messages, options);
    const strings: string[] = [];
    const collect = (text: string): string => {
      strings.push(text);
      return text;
    };
    attempt("messages and tools of less depth", () => mapStrings(conversation, collect));
    const disguise = createDisguise(tokenizer.controlTexts, strings.join("\n"), source);
    const disguised = mapStrings(conversation, (text) => disguise.put(text)) as TemplateConversation;
    const segments = tokenizer
      .partition(renderConversation(disguised, options))
      .map((segment) => (typeof segment === "string" ? disguise.remove(segment) : segment));
    const needsBos = tokenizer.addBos && tokenizer.bosId !== undefined && segments[0] !== tokenizer.bosId;
    return tokenizer.encodeSegments(needsBos ? [tokenizer.bosId, ...segments] : segments);
  };
  return { knowsTools, render, encode };
}

/** What a template is rendered with. */
interface TemplateConversation {
  readonly messages: readonly Readonly<Record<string, unknown>>[];
  readonly tools: readonly ToolDefinition[] | null;
}

/** The same value of JSON with other strings; keys are strings too. */
function mapStrings(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, change));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [change(key), mapStrings(item, change)]),
  );
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
