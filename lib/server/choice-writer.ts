import type { Tokenizer } from "../model/tokenizer.js";
import type { GeneratedChunk } from "../runtime/generation.js";
import type { RoutedResult } from "../tiers/routed-reply.js";
import type { ToolUse } from "./chat-prompt.js";
import { chatLogprobs, completionLogprobs, type Logprobs } from "./reply-parts.js";
import { ToolTextReader } from "./tool-text.js";

/** One choice of an answer, in the form of its endpoint. */
export interface ChoiceWriter {
  /** Choices of the chunks before the first text. */
  begin(): readonly object[];
  /** Choices of the chunks for a piece of text. */
  push(chunk: GeneratedChunk, tokenizer: Tokenizer | undefined): readonly object[];
  /** Choices of the chunks at the end; the last one has the reason for it. */
  end(result: RoutedResult, tokenizer: Tokenizer | undefined): readonly object[];
  /** The choice of an answer that is not streamed. */
  whole(result: RoutedResult, tokenizer: Tokenizer | undefined): object;
}

/** A reader who left gets no answer, so that the reason does not matter. */
function finishReasonOf({ finishReason }: RoutedResult): "stop" | "length" {
  return finishReason === "length" ? "length" : "stop";
}

/** A choice of a chat completion. */
export class ChatChoice implements ChoiceWriter {
  readonly #index: number;
  readonly #reader: ToolTextReader;
  readonly #hasLogprobs: boolean;
  /** Of tokens whose text is held back. */
  readonly #held: Logprobs[] = [];

  constructor(index: number, toolUse: ToolUse | undefined, hasLogprobs: boolean) {
    this.#index = index;
    this.#reader = new ToolTextReader(toolUse);
    this.#hasLogprobs = hasLogprobs;
  }

  begin(): readonly object[] {
    return [this.#delta({ role: "assistant", content: "", refusal: null })];
  }

  push(chunk: GeneratedChunk, tokenizer: Tokenizer | undefined): readonly object[] {
    const content = this.#reader.push(chunk.text);
    this.#held.push(...(chunk.logprobs ?? []));
    if (content === "") return [];
    return [this.#delta({ content }, null, this.#takeLogprobs(tokenizer))];
  }

  end(result: RoutedResult, tokenizer: Tokenizer | undefined): readonly object[] {
    const { content, calls } = this.#reader.end();
    const deltas: object[] = [];
    if (content !== "") deltas.push(this.#delta({ content }, null, this.#takeLogprobs(tokenizer)));
    for (const [index, call] of calls.entries())
      deltas.push(this.#delta({ tool_calls: [{ index, ...call }] }));
    return [...deltas, this.#delta({}, calls.length > 0 ? "tool_calls" : finishReasonOf(result))];
  }

  whole(result: RoutedResult, tokenizer: Tokenizer | undefined): object {
    const before = this.#reader.push(result.text);
    const { content: rest, calls } = this.#reader.end();
    const content = calls.length > 0 ? (before + rest).trim() : before + rest;
    const logprobs =
      this.#hasLogprobs && tokenizer !== undefined && result.logprobs !== undefined
        ? chatLogprobs(result.logprobs, tokenizer)
        : null;
    return {
      index: this.#index,
      message: {
        role: "assistant",
        content: calls.length > 0 && content === "" ? null : content,
        refusal: null,
        ...(calls.length > 0 && { tool_calls: calls }),
      },
      logprobs,
      finish_reason: calls.length > 0 ? "tool_calls" : finishReasonOf(result),
    };
  }

  #takeLogprobs(tokenizer: Tokenizer | undefined): object | null {
    const logprobs = this.#held.splice(0);
    return this.#hasLogprobs && tokenizer !== undefined ? chatLogprobs(logprobs, tokenizer) : null;
  }

  #delta(delta: object, finishReason: string | null = null, logprobs: object | null = null): object {
    return { index: this.#index, delta, logprobs, finish_reason: finishReason };
  }
}

/** A choice of a text completion. */
export class TextChoice implements ChoiceWriter {
  readonly #index: number;
  /** The prompt, where it is wanted before the answer. */
  readonly #echo: string;
  readonly #hasLogprobs: boolean;
  #length: number;

  constructor(index: number, echo: string, hasLogprobs: boolean) {
    this.#index = index;
    this.#echo = echo;
    this.#hasLogprobs = hasLogprobs;
    this.#length = echo.length;
  }

  begin(): readonly object[] {
    return this.#echo === "" ? [] : [this.#choice(this.#echo)];
  }

  push({ text, logprobs }: GeneratedChunk, tokenizer: Tokenizer | undefined): readonly object[] {
    const offset = this.#length;
    this.#length += text.length;
    const hasLogprobs = this.#hasLogprobs && tokenizer !== undefined && logprobs !== undefined;
    if (text === "" && !hasLogprobs) return [];
    return [this.#choice(text, null, hasLogprobs ? completionLogprobs(logprobs, tokenizer, offset) : null)];
  }

  end(result: RoutedResult): readonly object[] {
    return [this.#choice("", finishReasonOf(result))];
  }

  whole(result: RoutedResult, tokenizer: Tokenizer | undefined): object {
    const { text, logprobs } = result;
    const hasLogprobs = this.#hasLogprobs && tokenizer !== undefined && logprobs !== undefined;
    return this.#choice(
      this.#echo + text,
      finishReasonOf(result),
      hasLogprobs ? completionLogprobs(logprobs, tokenizer, this.#echo.length) : null,
    );
  }

  #choice(text: string, finishReason: string | null = null, logprobs: object | null = null): object {
    return { text, index: this.#index, logprobs, finish_reason: finishReason };
  }
}
