import { randomInt } from "node:crypto";

import { compileJsonSchema } from "../constraint/json-schema.js";
import { Sampler } from "../decoding/sampler.js";
import type { RunTerms } from "../engine/run.js";
import type { Sequence } from "../engine/sequence.js";
import { AirError, invalidArgument } from "../errors/air-error.js";
import type { ChatMessage } from "../model/chat-template.js";
import { parseOptions } from "../util/options.js";
import { decodeRequest } from "./decode-loop.js";
import { prefixKeyOf } from "./kv-identity.js";
import { type Generation, type GenerationResult, GenerationStream } from "./generation.js";
import { assertFitsContext, closedError, type ModelCore, runUntilAborted } from "./model-core.js";
import {
  type GenerateOptions,
  generateSchema,
  messagesSchema,
  type ResolvedGenerateOptions,
  type SessionOptions,
  sessionSchema,
} from "./options.js";
import { restoreSession, saveSession, type SessionState } from "./session-state.js";
import { SessionSpeculation } from "./speculation.js";
import { TextWriter } from "./text-writer.js";

/**
 * One text or conversation. Between calls it keeps its K/V: a prompt that starts like the last text only computes what
 * is new. It does one generation at a time; for several at once, create several sessions.
 */
export class Session {
  readonly #core: ModelCore;
  readonly #cacheSalt: string | undefined;
  readonly #speculation: SessionSpeculation;
  readonly #messages: ChatMessage[] = [];
  #sequence: Sequence;
  #busy = false;

  /** Use model.createSession(). */
  constructor(core: ModelCore, options: SessionOptions) {
    const { system, cacheSalt } = parseOptions(sessionSchema, options, "session options");
    if (system !== undefined) this.#messages.push({ role: "system", content: system });
    this.#core = core;
    this.#cacheSalt = cacheSalt;
    this.#sequence = core.engine.createSequence(this.#prefixKey);
    this.#speculation = new SessionSpeculation(core, cacheSalt);
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
    const prompt = this.#encode(input, resolved);
    if (prompt.length === 0) throw invalidArgument("the prompt", "at least one token", input);
    assertFitsContext(prompt.length, 1, this.#core.contextTokens);
    this.#check(resolved);
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

  /**
   * Opens a session that goes on from the same text and messages. The two share what is computed so far, and nothing of
   * what comes.
   *
   * @throws {AirError} AIR_ERR_BUSY while this session generates, AIR_ERR_CLOSED
   */
  fork(): Session {
    this.#assertReady();
    const { engine } = this.#core;
    const fork = new Session(this.#core, this.#cacheSalt === undefined ? {} : { cacheSalt: this.#cacheSalt });
    fork.#become({ sequence: engine.forkSequence(this.#sequence), messages: this.#messages });
    return fork;
  }

  /**
   * Saves text, messages and K/V, so that restore() can go on from here in another process. The file holds the
   * conversation as plain text. There is the old file or the new one at `path` at any time, whatever happens.
   *
   * @throws {AirError} AIR_ERR_IO, AIR_ERR_BUSY while the session generates, AIR_ERR_CLOSED
   */
  async save(path: string): Promise<void> {
    await this.#occupied(() =>
      saveSession(this.#core, { sequence: this.#sequence, messages: this.#messages }, path),
    );
  }

  /**
   * Takes over what save() wrote, in place of this session's text and messages: what was computed then is not computed
   * again, and continues bit by bit as it would have. Where KV pages are short, only the text is taken over, and
   * computed again when it is needed. After an error the session is as it was.
   *
   * @throws {AirError} AIR_ERR_SESSION_FILE when the file is damaged, of another model, or of a model loaded with other
   *   KV settings; AIR_ERR_IO, AIR_ERR_BUSY while the session generates, AIR_ERR_CLOSED
   */
  async restore(path: string): Promise<void> {
    await this.#occupied(async () => {
      const state = await restoreSession(this.#core, path, this.#prefixKey);
      const { engine } = this.#core;
      if (!engine.has(this.#sequence)) {
        engine.closeSequence(state.sequence, closedError("session"));
        throw closedError("session");
      }
      this.#become(state);
    });
  }

  /** Frees the session's pages. A generation in progress rejects with AIR_ERR_CLOSED. Idempotent. */
  close(): void {
    this.#core.engine.closeSequence(this.#sequence, closedError("session"));
    this.#speculation.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get #prefixKey(): string {
    return prefixKeyOf(this.#core.identity, this.#cacheSalt);
  }

  #become({ sequence, messages }: SessionState): void {
    this.#core.engine.closeSequence(this.#sequence, closedError("session"));
    this.#sequence = sequence;
    this.#messages.splice(0, Infinity, ...messages);
  }

  /** Does something that leaves no room for a generation. */
  async #occupied(action: () => Promise<void>): Promise<void> {
    this.#assertReady();
    this.#busy = true;
    try {
      await action();
    } finally {
      this.#busy = false;
    }
  }

  #assertReady(): void {
    if (!this.#core.engine.has(this.#sequence)) throw closedError("session");
    if (this.#busy) {
      throw new AirError("AIR_ERR_BUSY", "expected an idle session but received one that is at work");
    }
  }

  /** What cannot be told without the model. */
  #check({ logitBias, schema, ignoreEos, speculation }: ResolvedGenerateOptions): void {
    const { draft, tokenizer } = this.#core;
    for (const token of logitBias.keys()) {
      if (Number.isInteger(token) && token >= 0 && token < tokenizer.vocabSize) continue;
      throw invalidArgument("logitBias", `token ids below ${tokenizer.vocabSize}`, token);
    }
    if (schema !== undefined && ignoreEos) {
      throw invalidArgument("ignoreEos", "false with a schema (only the end may follow a document)", true);
    }
    if (speculation === "off" || draft !== undefined) return;
    if (speculation.proposers?.includes("draft-model") === true) {
      throw invalidArgument("speculation.proposers", "a model loaded with a draft model", "draft-model");
    }
  }

  #encode(
    input: string | readonly ChatMessage[],
    { special, tools }: Pick<ResolvedGenerateOptions, "special" | "tools">,
  ): Int32Array {
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
    return chatTemplate.encode(messages, { addGenerationPrompt: true, tools });
  }

  #start(prompt: Int32Array, options: ResolvedGenerateOptions): Generation {
    const leave = new AbortController();
    const stream = new GenerationStream(() => {
      leave.abort();
    });
    this.#busy = true;
    this.#run(prompt, options, stream, leave)
      .then((result) => {
        this.#busy = false;
        stream.finish(result);
      })
      .catch((error: unknown) => {
        this.#busy = false;
        stream.fail(error);
      });
    return stream;
  }

  /** Generates to the end, the signal, or the reader's leave, which is an end like others. */
  async #run(
    prompt: Int32Array,
    options: ResolvedGenerateOptions,
    stream: GenerationStream,
    leave: AbortController,
  ): Promise<GenerationResult> {
    const { engine, rowMath, tokenizer, contextTokens } = this.#core;
    const { speculation, schema, ignoreEos, signal } = options;
    const sequence = this.#sequence;
    const startedMs = performance.now();
    const compiled = schema === undefined ? undefined : await compileJsonSchema(schema, tokenizer);
    const constraint = compiled?.start();
    const sampling = { ...options, seed: options.seed ?? randomInt(2 ** 47), constraint };
    const speculator = speculation === "off" ? undefined : this.#speculation.start(speculation, sampling);
    const writer = new TextWriter({
      tokenizer,
      stop: options.stop,
      maxTokens: Math.min(options.maxTokens ?? Infinity, contextTokens - prompt.length),
      ignoreEos,
      seed: sampling.seed,
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
      seed: sampling.seed,
      writer,
      constraint,
      speculator,
      acceptance: speculation === "off" ? "coupled" : speculation.acceptance,
      rowWidth: this.#core.vocabSize,
      tokenCount: tokenizer.vocabSize, // a model may pad its rows past the vocabulary
      contextTokens,
      terms: termsOf(options, startedMs),
    });
    try {
      await runUntilAborted(engine, sequence, request, [signal, leave.signal]);
    } catch (error) {
      if (!leave.signal.aborted || signal?.aborted === true) throw error;
    } finally {
      speculator?.cancel();
      constraint?.close();
    }
    const speculative = speculator?.report();
    return { ...writer.result(sequence.reusedTokens), ...(speculative && { speculative }) };
  }
}

/** How a generation that began at `startedMs` stands among the others. */
function termsOf({ priority, user, timeoutMs }: ResolvedGenerateOptions, startedMs: number): RunTerms {
  return {
    priority,
    ...(user !== undefined && { user }),
    ...(timeoutMs !== undefined && { deadline: startedMs + timeoutMs }),
  };
}
