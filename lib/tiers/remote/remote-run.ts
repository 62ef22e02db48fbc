import type { AirError } from "../../errors/air-error.js";
import { Answer, type AnswerOptions, type RemoteGenerationResult } from "./answer.js";
import { retryDelayMs } from "../../util/backoff.js";
import type { BreakerPass, CircuitBreaker } from "../circuit-breaker.js";
import type { Endpoint, RemoteEnvironment } from "./endpoint.js";
import { Exchange } from "./exchange.js";
import { readAnswer } from "./read-answer.js";
import { AirRemoteError } from "./remote-error.js";
import type { ResolvedRemoteTierOptions } from "./remote-options.js";

/** What the requests of a tier share. */
export interface RemoteParts {
  readonly options: ResolvedRemoteTierOptions;
  readonly environment: RemoteEnvironment;
  readonly endpoint: Endpoint;
  readonly breaker: CircuitBreaker;
}

/** One request of a user. */
export interface RemoteRequest extends Pick<AnswerOptions, "seed" | "stop" | "emit"> {
  /** JSON to send. */
  readonly body: string;
  /** The text has to be a JSON document. */
  readonly isJson: boolean;
  /** Called before each request that is sent. */
  readonly onAttempt: () => void;
}

/** Sends a request until there is an answer, or no point in going on. Nothing is sent again once there was text. */
export class RemoteRun {
  readonly #parts: RemoteParts;
  readonly #request: RemoteRequest;
  readonly #startedAt: number;
  readonly #stopped = new AbortController();
  #stopReason: AirError | undefined;
  #isLeft = false;
  #exchange: Exchange | undefined;
  #answer: Answer;
  #attempts = 0;

  constructor(parts: RemoteParts, request: RemoteRequest) {
    this.#parts = parts;
    this.#request = request;
    this.#startedAt = parts.environment.now();
    this.#answer = this.#newAnswer();
  }

  /** Ends the request with an error, and closes its connection. */
  stop(reason: AirError): void {
    if (this.#stopReason !== undefined) return;
    this.#stopReason = reason;
    this.#exchange?.end(reason);
    this.#stopped.abort();
  }

  /** Ends the request for a reader who has enough: the result is what there is. */
  leave(reason: AirError): void {
    if (this.#stopReason === undefined) this.#isLeft = true;
    this.stop(reason);
  }

  /** @throws {AirError} AIR_ERR_REMOTE, AIR_ERR_TIMEOUT, or what stop() was called with */
  async run(): Promise<RemoteGenerationResult> {
    try {
      await this.#untilAnswered();
      const result = this.#answer.result(this.#attempts);
      this.#assertJson(result);
      return result;
    } catch (error) {
      if (this.#isLeft) return this.#answer.result(this.#attempts, true);
      if (!(error instanceof AirRemoteError)) throw error;
      const partialCharacters = this.#answer.characters;
      throw new AirRemoteError(error.failure, { attempts: this.#attempts, partialCharacters });
    }
  }

  async #untilAnswered(): Promise<void> {
    const { environment, options } = this.#parts;
    for (let failed: AirRemoteError | undefined; ;) {
      if (this.#stopReason !== undefined) throw this.#stopReason;
      const remainingMs = this.#remainingMs();
      const pass = this.#enter(failed);
      try {
        await this.#attempt(pass, remainingMs);
        return;
      } catch (error) {
        settle(pass, error);
        if (!(error instanceof AirRemoteError) || !error.failure.isRetryable) throw error;
        if (this.#answer.characters > 0) throw error;
        failed = error;
      }
      const delay = retryDelayMs(options, {
        attempts: this.#attempts,
        retryAfterMs: failed.failure.retryAfterMs,
        remainingMs: this.#remainingMs(),
        random: environment.random(),
      });
      if (delay === undefined) throw failed;
      // A rejection means that the request was stopped, which the loop begins with.
      await environment.sleep(delay, this.#stopped.signal).catch(() => undefined);
    }
  }

  async #attempt(pass: BreakerPass, remainingMs: number): Promise<void> {
    const { endpoint, options } = this.#parts;
    const { timeoutMs, idleTimeoutMs } = options;
    const exchange = new Exchange();
    this.#exchange = exchange;
    this.#answer = this.#newAnswer();
    this.#attempts += 1;
    this.#request.onAttempt();
    exchange.limit(remainingMs, () => endpoint.timeout("the beginning of an answer", timeoutMs));
    try {
      const response = await endpoint.send("chat/completions", exchange, this.#request.body);
      await readAnswer(response, { endpoint, exchange, pass, answer: this.#answer, idleTimeoutMs });
      pass.completed();
    } finally {
      exchange.close();
    }
  }

  #enter(failed: AirRemoteError | undefined): BreakerPass {
    const { breaker, endpoint } = this.#parts;
    const pass = breaker.enter();
    if (pass !== undefined) return pass;
    // What opened the breaker tells more than that it is open.
    if (failed !== undefined) throw failed;
    const seconds = Math.ceil(breaker.retryInMs / 1000);
    throw endpoint.failure({
      expected: "a closed circuit breaker",
      received: seconds > 0 ? `one that is open for another ${seconds} s` : "one that is being tried out",
      isRetryable: false,
      isEndpointFault: false,
    });
  }

  /** A schema is held to or refused; an endpoint that does not know it would answer with prose. */
  #assertJson({ finishReason, text }: RemoteGenerationResult): void {
    const { isJson, stop } = this.#request;
    if (!isJson || finishReason !== "stop" || stop.length > 0) return;
    try {
      JSON.parse(text);
    } catch {
      throw this.#parts.endpoint.failure({
        expected: "a JSON document, as the schema says,",
        received: "other text",
        isRetryable: false,
        isEndpointFault: false,
      });
    }
  }

  #remainingMs(): number {
    return this.#startedAt + this.#parts.options.timeoutMs - this.#parts.environment.now();
  }

  #newAnswer(): Answer {
    const { options, environment } = this.#parts;
    return new Answer({
      ...this.#request,
      tier: options.name,
      model: options.model,
      now: environment.now,
      startedAt: this.#startedAt,
    });
  }
}

/** Tells the breaker what a failed attempt says about the endpoint. */
function settle(pass: BreakerPass, error: unknown): void {
  if (!(error instanceof AirRemoteError)) pass.released();
  else if (error.failure.isEndpointFault) pass.failed();
  else {
    // It refused this request only, so it is there.
    if (error.failure.status !== undefined) pass.answered();
    pass.released();
  }
}
