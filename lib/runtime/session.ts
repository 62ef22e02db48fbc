import { randomInt } from "node:crypto";

import { Sampler } from "../decoding/sampler.js";
import type { Sequence } from "../engine/sequence.js";
import { AirError, invalidArgument } from "../errors/air-error.js";
import type { ChatMessage } from "../model/chat-template.js";
import { parseOptions } from "../util/options.js";
import { decodeRequest } from "./decode-loop.js";
import { type Generation, GenerationStream } from "./generation.js";
import { assertFitsContext, closedError, type ModelCore, runUntilAborted } from "./model-core.js";
import {
  type GenerateOptions,
  generateSchema,
  messagesSchema,
  type ResolvedGenerateOptions,
  type SessionOptions,
  sessionSchema,
} from "./options.js";
import { SessionSpeculation } from "./speculation.js";
import { TextWriter } from "./text-writer.js";

/**
 * One text or conversation. Between calls it keeps its K/V: a prompt that starts like the last text only computes what
 * is new. It does one generation at a time; for several at once, create several sessions.
 */
export class Session {
  readonly #core: ModelCore;
  readonly #sequence: Sequence;
  readonly #speculation: SessionSpeculation;
  readonly #messages: ChatMessage[] = [];
  #busy = false;

  /** Use model.createSession(). */
  constructor(core: ModelCore, options: SessionOptions) {
    const { system } = parseOptions(sessionSchema, options, "session options");
    if (system !== undefined) this.#messages.push({ role: "system", content: system });
    this.#core = core;
    this.#sequence = core.engine.createSequence();
    this.#speculation = new SessionSpeculation(core);
  }

  /** The conversation that chat() continues. */
  get messages(): readonly ChatMessage[] {
    return [...this.#messages];
  }

  /**
   * Generates text.
   *
   * @param input - raw text to continue, or messages for the chat template of the model
   * @throws {AirError} AIR_ERR_ARGUMENT for options out of range and an empty prompt, AIR_ERR_CONTEXT for a prompt that
   *   leaves no room, AIR_ERR_TEMPLATE for messages without a template, AIR_ERR_BUSY, AIR_ERR_CLOSED
   * @example
   * for await (const chunk of session.generate("The capital of France is", { maxTokens: 16 })) {
   *   process.stdout.write(chunk.text);
   * }
   */
  generate(input: string | readonly ChatMessage[], options: GenerateOptions = {}): Generation {
    const resolved = parseOptions(generateSchema, options, "generate options");
    this.#assertReady();
    const prompt = this.#encode(input, resolved.special);
    if (prompt.length === 0) throw invalidArgument("the prompt", "at least one token", input);
    assertFitsContext(prompt.length, 1, this.#core.contextTokens);
    const { vocabSize } = this.#core.tokenizer;
    for (const token of resolved.logitBias.keys()) {
      if (Number.isInteger(token) && token >= 0 && token < vocabSize) continue;
      throw invalidArgument("logitBias", `token ids below ${vocabSize}`, token);
    }
    return this.#start(prompt, resolved);
  }

  /**
   * Answers a user message in the conversation of this session. Message and answer join the history when the answer is
   * finished or left early, and are forgotten when it fails.
   *
   * @throws {AirError} as generate() does
   */
  chat(text: string, options: GenerateOptions = {}): Generation {
    const question: ChatMessage = { role: "user", content: text };
    const generation = this.generate([...this.#messages, question], options);
    generation.result.then(
      (answer) => this.#messages.push(question, { role: "assistant", content: answer.text }),
      () => undefined,
    );
    return generation;
  }

  /** Frees the session's pages. A generation in progress rejects with AIR_ERR_CLOSED. Idempotent. */
  close(): void {
    this.#core.engine.closeSequence(this.#sequence, closedError("session"));
    this.#speculation.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #assertReady(): void {
    if (!this.#core.engine.has(this.#sequence)) throw closedError("session");
    if (this.#busy) {
      throw new AirError("AIR_ERR_BUSY", "expected an idle session but received one that is generating");
    }
  }

  #encode(input: string | readonly ChatMessage[], special: boolean): Int32Array {
    const { tokenizer, chatTemplate } = this.#core;
    if (typeof input === "string") {
      if (input.length === 0) throw invalidArgument("the prompt", "at least one character", input);
      const ids = tokenizer.encode(input, { special, bos: false });
      const { addBos, bosId } = tokenizer;
      // A text that brings its own BOS does not get a second one.
      return addBos && bosId !== undefined && ids[0] !== bosId ? Int32Array.from([bosId, ...ids]) : ids;
    }
    const { messages } = parseOptions(messagesSchema, { messages: input }, "the prompt");
    if (chatTemplate === undefined) {
      throw new AirError(
        "AIR_ERR_TEMPLATE",
        "expected a chat template for messages but received a model without",
      );
    }
    return chatTemplate.encode(messages, { addGenerationPrompt: true });
  }

  #start(prompt: Int32Array, options: ResolvedGenerateOptions): Generation {
    const { engine, rowMath, tokenizer, contextTokens } = this.#core;
    const sequence = this.#sequence;
    const left = new AirError(
      "AIR_ERR_CANCELLED",
      "expected the text to be read but received an early leave",
    );
    const stream = new GenerationStream(() => {
      engine.cancel(sequence, left);
    });
    const sampling = { ...options, seed: options.seed ?? randomInt(2 ** 47), constraint: undefined };
    const { speculation, ignoreEos } = options;
    const { seed } = sampling;
    const speculator = speculation === "off" ? undefined : this.#speculation.start(speculation, sampling);
    const writer = new TextWriter({
      tokenizer,
      stop: options.stop,
      maxTokens: Math.min(options.maxTokens ?? Infinity, contextTokens - prompt.length),
      ignoreEos,
      seed,
      promptTokens: prompt.length,
      emit: (chunk) => {
        stream.push(chunk);
      },
    });
    const request = decodeRequest({
      prompt,
      sequence,
      sampler: new Sampler(rowMath, tokenizer.vocabSize, sampling),
      rowMath,
      seed,
      writer,
      constraint: sampling.constraint,
      speculator,
      acceptance: speculation === "off" ? "coupled" : speculation.acceptance,
      rowWidth: this.#core.vocabSize,
      tokenCount: tokenizer.vocabSize, // a model may pad its rows past the vocabulary
      contextTokens,
    });
    this.#busy = true;
    const settle = (error?: unknown): void => {
      this.#busy = false;
      speculator?.cancel();
      if (error !== undefined && error !== left) stream.fail(error);
      else {
        const speculative = speculator?.report();
        stream.finish({ ...writer.result(sequence.reusedTokens), ...(speculative && { speculative }) });
      }
    };
    void runUntilAborted(engine, sequence, request, options.signal).then(() => {
      settle();
    }, settle);
    return stream;
  }
}
