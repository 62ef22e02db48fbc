import type { Logprobs } from "../decoding/sampler.js";
import type { SpeculativeReport } from "../decoding/speculator.js";
import { AirError } from "../errors/air-error.js";
import { createDeferred } from "../util/deferred.js";

/** A piece of generated text: never half a character, and never part of a stop string that ends the text. */
export interface GeneratedChunk {
  readonly text: string;
  /** The tokens since the last chunk. */
  readonly tokens: readonly number[];
  /** For each token whether it was guessed ahead and accepted; absent when none of them was. */
  readonly drafted?: readonly boolean[];
  /** One entry per token, where asked for. */
  readonly logprobs?: readonly Logprobs[];
}

/**
 * - `stop`: the model ended its text, or a stop string occurred
 * - `length`: maxTokens or the end of the context was reached
 * - `abort`: the `for await` loop was left
 */
export type FinishReason = "stop" | "length" | "abort";

/** Where the time went. */
export interface GenerationTimings {
  /** From the call to the first logits, waiting for other sessions included. */
  readonly prefillMs: number;
  /** From the first token to the last. */
  readonly decodeMs: number;
  readonly timeToFirstTokenMs: number;
  /** Prompt tokens that were computed (not reused) per second of prefill. */
  readonly prefillTokensPerSecond: number;
  /** Tokens after the first per second of decode; 0 when there are none. */
  readonly decodeTokensPerSecond: number;
}

/** A finished generation. */
export interface GenerationResult {
  readonly text: string;
  /** Generated ids, those of a stop string included; an end-of-generation token that ended the text is not. */
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  /** Prompt tokens whose K/V an earlier call of the session left behind. */
  readonly reusedTokens: number;
  readonly finishReason: FinishReason;
  /** The seed that was used. */
  readonly seed: number;
  readonly timings: GenerationTimings;
  /** One entry per token, where asked for. */
  readonly logprobs?: readonly Logprobs[];
  /** How speculation went; undefined where it was off. */
  readonly speculative?: SpeculativeReport;
}

/**
 * Text being generated. It runs from the start, whether or not anyone reads: iterate over the chunks, await the
 * result, or both. Leaving the loop early stops the generation.
 */
export interface Generation<Result = GenerationResult> extends AsyncIterable<GeneratedChunk> {
  /** Rejects with the {@link AirError} that ended the generation; ignoring it is fine. */
  readonly result: Promise<Result>;
}

/** The writing end of a {@link Generation}. */
export class GenerationStream<Result = GenerationResult> implements Generation<Result> {
  readonly #chunks: GeneratedChunk[] = [];
  readonly #result = createDeferred<Result>();
  readonly #leave: () => void;
  #changed = createDeferred<undefined>();
  #ended = false;
  #iterated = false;

  /** @param leave - called when the reader leaves early; finish() or fail() must follow */
  constructor(leave: () => void) {
    this.#leave = leave;
    this.#result.promise.catch(() => undefined); // whoever reads the result handles it; nobody has to
  }

  get result(): Promise<Result> {
    return this.#result.promise;
  }

  /** Hands a chunk to the reader. */
  push(chunk: GeneratedChunk): void {
    this.#chunks.push(chunk);
    this.#wake();
  }

  /** Ends the stream. */
  finish(result: Result): void {
    this.#ended = true;
    this.#result.resolve(result);
    this.#wake();
  }

  /** Ends the stream with an error. */
  fail(error: unknown): void {
    this.#ended = true;
    this.#result.reject(error);
    this.#wake();
  }

  [Symbol.asyncIterator](): AsyncIterator<GeneratedChunk> {
    if (this.#iterated) {
      throw new AirError("AIR_ERR_BUSY", "expected one loop over a generation but received a second one");
    }
    this.#iterated = true;
    const chunks = this.#iterate();
    return {
      next: () => chunks.next(),
      // A generator's own return() waits for a pending next(), and runs no `finally` before the first next().
      return: async () => {
        await this.#stop();
        return chunks.return();
      },
    };
  }

  async *#iterate(): AsyncGenerator<GeneratedChunk, void> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) yield chunk;
      else if (this.#ended) break;
      else await this.#changed.promise;
    }
    await this.result;
  }

  /** Ends the generation for a reader who leaves; the session is free again afterwards. */
  async #stop(): Promise<void> {
    if (this.#ended) return;
    this.#leave();
    await this.result.catch(() => undefined);
  }

  #wake(): void {
    this.#changed.resolve(undefined);
    this.#changed = createDeferred<undefined>();
  }
}
