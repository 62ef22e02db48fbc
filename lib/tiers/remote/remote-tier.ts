import { setTimeout as sleep } from "node:timers/promises";

import { z } from "zod";

import type { AirError } from "../../errors/air-error.js";
import type { ChatMessage } from "../../model/chat-template.js";
import { type Generation, GenerationStream } from "../../runtime/generation.js";
import { abortedError, closedError } from "../../runtime/model-core.js";
import { type GenerateOptions, generateSchema } from "../../runtime/options.js";
import { parseOptions } from "../../util/options.js";
import type { RemoteGenerationResult } from "./answer.js";
import { type BreakerState, CircuitBreaker } from "../circuit-breaker.js";
import { Endpoint, type RemoteEnvironment } from "./endpoint.js";
import { Exchange } from "./exchange.js";
import { AirRemoteError } from "./remote-error.js";
import { type RemoteTierOptions, remoteTierSchema } from "./remote-options.js";
import { type RemoteParts, RemoteRun } from "./remote-run.js";
import { completionBody } from "./request-body.js";
import { readText } from "./response-body.js";

/** A {@link Generation} of a remote tier. */
export interface RemoteGeneration extends Generation {
  readonly result: Promise<RemoteGenerationResult>;
}

/** Counters of a tier since it was made, and its breaker now. */
export interface RemoteStats {
  /** Generations that were started. */
  readonly requests: number;
  readonly finished: number;
  /** Generations that ended with AIR_ERR_REMOTE or AIR_ERR_TIMEOUT. */
  readonly failed: number;
  /** Of these, those whose reader had text already. */
  readonly failedMidway: number;
  /** Generations that their signal, their reader or close() ended. */
  readonly cancelled: number;
  /** HTTP requests sent, retries included. */
  readonly attempts: number;
  /** Finished generations that another model answered than the one that was asked for. */
  readonly otherModel: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly breaker: {
    readonly state: BreakerState;
    readonly failures: number;
    readonly timesOpened: number;
    /** Milliseconds until an open breaker lets a request try. */
    readonly retryInMs: number;
  };
}

const modelsSchema = z.object({ data: z.array(z.object({ id: z.string() })) });
const maxModelsCharacters = 2 ** 24;

/**
 * A model behind an OpenAI-compatible endpoint: vLLM, TensorRT-LLM, Ray Serve, llama.cpp or a cloud. Nothing is sent but
 * by start() and probe().
 *
 * @example
 * const tier = new RemoteTier({ name: "cloud", url: "https://host/v1", model: "large", keyEnv: "CLOUD_KEY" });
 * for await (const { text } of tier.start("Why is the sky blue?", { maxTokens: 100 })) process.stdout.write(text);
 */
export class RemoteTier {
  readonly name: string;
  readonly kind = "remote";
  readonly #parts: RemoteParts;
  /** Ends a request each. */
  readonly #stops = new Set<(reason: AirError) => void>();
  readonly #counts = {
    requests: 0,
    finished: 0,
    failed: 0,
    failedMidway: 0,
    cancelled: 0,
    attempts: 0,
    otherModel: 0,
    promptTokens: 0,
    completionTokens: 0,
  };
  #isClosed = false;

  /**
   * @param environment - for tests: other clocks, chance, variables and HTTP client than the process has
   * @throws {AirError} AIR_ERR_ARGUMENT
   */
  constructor(options: RemoteTierOptions, environment: Partial<RemoteEnvironment> = {}) {
    const resolved = parseOptions(remoteTierSchema, options, "remote tier options");
    const surroundings: RemoteEnvironment = {
      fetch: (input, init) => fetch(input, init),
      variables: process.env,
      now: () => performance.now(),
      wallClock: () => Date.now(),
      random: () => Math.random(),
      sleep: (milliseconds, signal) => sleep(milliseconds, undefined, { signal }),
      ...environment,
    };
    this.name = resolved.name;
    this.#parts = {
      options: resolved,
      environment: surroundings,
      endpoint: new Endpoint(resolved, surroundings),
      breaker: new CircuitBreaker(resolved.breaker, surroundings.now),
    };
  }

  /** Whether a request would be sent now: there is a key, if one is needed, and the breaker lets it through. */
  get isReady(): boolean {
    return !this.#isClosed && this.#parts.endpoint.hasKey && this.#parts.breaker.isAdmitting;
  }

  /** Counters since the tier was made, and the state of its breaker. */
  stats(): RemoteStats {
    const { state, failures, timesOpened, retryInMs } = this.#parts.breaker;
    return { ...this.#counts, breaker: { state, failures, timesOpened, retryInMs } };
  }

  /**
   * Asks the model. The text comes as the endpoint writes it; its result rejects with AIR_ERR_REMOTE, AIR_ERR_TIMEOUT,
   * AIR_ERR_CANCELLED or AIR_ERR_CLOSED. Leaving the loop early closes the connection.
   *
   * @param input - a string is the message of a user
   * @param options - see docs/remote-tiers.md for what endpoints make of them
   * @throws {AirError} AIR_ERR_ARGUMENT, AIR_ERR_UNSUPPORTED, AIR_ERR_CLOSED
   */
  start(input: string | readonly ChatMessage[], options: GenerateOptions = {}): RemoteGeneration {
    const { stop, seed = 0, signal, schema } = parseOptions(generateSchema, options, "generate options");
    if (this.#isClosed) throw closedError("remote tier");
    const run = new RemoteRun(this.#parts, {
      body: completionBody(this.#parts.options, input, options),
      isJson: schema !== undefined,
      seed,
      stop,
      emit: (chunk) => {
        stream.push(chunk);
      },
      onAttempt: () => {
        this.#counts.attempts += 1;
      },
    });
    const stream = new GenerationStream(() => {
      run.leave(closedError("reader of a generation"));
    });
    this.#counts.requests += 1;
    const result = this.#whileOpen(
      signal,
      (reason) => {
        run.stop(reason);
      },
      () => run.run(),
    );
    result.then(
      (value) => {
        this.#countResult(value);
        stream.finish(value);
      },
      (error: unknown) => {
        this.#countFailure(error);
        stream.fail(error);
      },
    );
    return { result, [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator]() };
  }

  /**
   * Asks for the endpoint's list of models, to see whether it is there and serves the model. An open breaker lets the next
   * request through if it is, because a list is no proof yet that the model answers.
   *
   * @throws {AirError} AIR_ERR_REMOTE, AIR_ERR_TIMEOUT, AIR_ERR_CANCELLED, AIR_ERR_CLOSED
   */
  async probe(signal?: AbortSignal): Promise<void> {
    if (this.#isClosed) throw closedError("remote tier");
    const { endpoint, breaker, options } = this.#parts;
    const exchange = new Exchange();
    const end = (reason: AirError): void => {
      exchange.end(reason);
    };
    const pass = breaker.enter();
    exchange.limit(options.timeoutMs, () => endpoint.timeout("a list of models", options.timeoutMs));
    try {
      await this.#whileOpen(signal, end, () => this.#findModel(exchange));
      pass?.released();
      breaker.allowTrial();
    } catch (error) {
      if (error instanceof AirRemoteError && error.failure.isEndpointFault) pass?.failed();
      throw error;
    } finally {
      pass?.released();
      exchange.close();
    }
  }

  /** Ends requests in progress with AIR_ERR_CLOSED. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const stop of this.#stops) stop(closedError("remote tier"));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #findModel(exchange: Exchange): Promise<void> {
    const { endpoint, options } = this.#parts;
    const expected = `the model "${options.model}" in the list of models`;
    const response = await endpoint.send("models", exchange);
    const text = await readText(response, exchange, endpoint.readErrors(expected), maxModelsCharacters);
    const models = parseModels(text);
    if (models?.includes(options.model) === true) return;
    throw endpoint.failure({
      expected,
      received: models === undefined ? "something that is no list" : `${models.length} others`,
      isRetryable: false,
    });
  }

  /** Does work that a signal and close() end. */
  async #whileOpen<Value>(
    signal: AbortSignal | undefined,
    stop: (reason: AirError) => void,
    work: () => Promise<Value>,
  ): Promise<Value> {
    const onAbort = (): void => {
      if (signal !== undefined) stop(abortedError(signal));
    };
    this.#stops.add(stop);
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    try {
      return await work();
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#stops.delete(stop);
    }
  }

  #countResult({ finishReason, promptTokens, remote }: RemoteGenerationResult): void {
    if (finishReason === "abort") this.#counts.cancelled += 1;
    else this.#counts.finished += 1;
    if (remote.isOtherModel) this.#counts.otherModel += 1;
    this.#counts.promptTokens += promptTokens;
    this.#counts.completionTokens += remote.completionTokens ?? 0;
  }

  #countFailure(error: unknown): void {
    if (!(error instanceof AirRemoteError)) this.#counts.cancelled += 1;
    else {
      this.#counts.failed += 1;
      if (!error.mayFallBack) this.#counts.failedMidway += 1;
    }
  }
}

function parseModels(text: string): readonly string[] | undefined {
  try {
    return modelsSchema.parse(JSON.parse(text)).data.map(({ id }) => id);
  } catch {
    return undefined;
  }
}
