import { randomUUID } from "node:crypto";

import type { ToolUse } from "./chat-prompt.js";

/** A call in an answer, in the form of the API. */
export interface ToolCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

/** What an answer says, apart from its calls. */
export interface ToolAnswer {
  /** Text that was not handed out before. */
  readonly content: string;
  readonly calls: readonly ToolCall[];
}

const openTag = "<tool_call>";
const closeTag = "</tool_call>";
/** How answers begin that may be a call as a whole: as bare JSON, or in a fence. */
const bareStarts = ["{", "[", "```"] as const;

function toCall(value: unknown, names: ReadonlySet<string>): ToolCall | undefined {
  if (typeof value !== "object" || value === null || !("name" in value)) return undefined;
  const { name } = value;
  if (typeof name !== "string" || !names.has(name)) return undefined;
  const inner: unknown =
    "arguments" in value ? value.arguments : "parameters" in value ? value.parameters : {};
  const text = typeof inner === "string" ? inner : JSON.stringify(inner);
  const id = `call_${randomUUID().replaceAll("-", "").slice(0, 24)}`;
  return { id, type: "function", function: { name, arguments: text } };
}

/** The calls that a piece of JSON makes: one, or an array of them; undefined when it is something else. */
function callsOfJson(json: string, names: ReadonlySet<string>): readonly ToolCall[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  const calls = (Array.isArray(value) ? (value as unknown[]) : [value]).map((item) => toCall(item, names));
  return calls.length > 0 && calls.every((call) => call !== undefined) ? calls : undefined;
}

function unfenced(text: string): string {
  return /^```(?:json)?\s*\n?([\s\S]*?)\n?```$/.exec(text)?.[1]?.trim() ?? text;
}

/** Calls between tags, which models may follow with others; text that is no call stays text. */
function parseTagged(text: string, names: ReadonlySet<string>): ToolAnswer {
  const calls: ToolCall[] = [];
  let content = "";
  let rest = text;
  for (;;) {
    const start = rest.indexOf(openTag);
    if (start < 0) break;
    const end = rest.indexOf(closeTag, start);
    const inner = rest.slice(start + openTag.length, end < 0 ? undefined : end).trim();
    const found = callsOfJson(inner, names);
    const after = end < 0 ? rest.length : end + closeTag.length;
    content += found === undefined ? rest.slice(0, after) : rest.slice(0, start);
    calls.push(...(found ?? []));
    rest = rest.slice(after);
  }
  content += rest;
  return { content: calls.length > 0 ? content.trim() : content, calls };
}

/** The calls in a whole text. */
function parseToolText(text: string, names: ReadonlySet<string>): ToolAnswer {
  const trimmed = text.trim();
  if (bareStarts.some((start) => trimmed.startsWith(start))) {
    const calls = callsOfJson(unfenced(trimmed), names);
    if (calls !== undefined) return { content: "", calls };
  }
  return parseTagged(text, names);
}

/** How many last characters of the text may be the beginning of `tag`. */
function partialTagLength(text: string, tag: string): number {
  for (let length = Math.min(tag.length - 1, text.length); length > 0; length -= 1) {
    if (text.endsWith(tag.slice(0, length))) return length;
  }
  return 0;
}

/** Reads an answer piece by piece: hands text out at once, unless it is, or may become, a call. */
export class ToolTextReader {
  readonly #use: ToolUse | undefined;
  #held = "";
  #hasHandedOut = false;

  /** @param use - undefined: everything is text */
  constructor(use: ToolUse | undefined) {
    this.#use = use;
  }

  /** Takes the next piece; returns the text that is certain to be no call. */
  push(text: string): string {
    if (this.#use === undefined) return text;
    this.#held += text;
    if (this.#use.isRequired || this.#mayBeCall()) return "";
    const tag = this.#held.indexOf(openTag);
    const safe = tag >= 0 ? tag : this.#held.length - partialTagLength(this.#held, openTag);
    const out = this.#held.slice(0, safe);
    this.#held = this.#held.slice(safe);
    this.#hasHandedOut ||= out !== "";
    return out;
  }

  /** What is left at the end. */
  end(): ToolAnswer {
    if (this.#use === undefined) return { content: "", calls: [] };
    const { names } = this.#use;
    return this.#hasHandedOut ? parseTagged(this.#held, names) : parseToolText(this.#held, names);
  }

  /** Whether the whole text so far may be the beginning of bare JSON. */
  #mayBeCall(): boolean {
    if (this.#hasHandedOut) return false;
    const start = this.#held.trimStart();
    return bareStarts.some((bare) => start.startsWith(bare) || bare.startsWith(start));
  }
}
