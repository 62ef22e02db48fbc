import type { Logprobs, Sample } from "../decoding/sampler.js";
import { StopMatcher } from "../decoding/stop.js";
import type { Tokenizer } from "../model/tokenizer.js";
import type { FinishReason, GeneratedChunk, GenerationResult } from "./generation.js";

/** What a {@link TextWriter} works with. */
export interface TextWriterOptions {
  readonly tokenizer: Tokenizer;
  readonly stop: readonly string[];
  /** At least 1. */
  readonly maxTokens: number;
  readonly ignoreEos: boolean;
  readonly seed: number;
  readonly promptTokens: number;
  readonly emit: (chunk: GeneratedChunk) => void;
}

/** Turns tokens into text, one at a time, until the text ends. */
export class TextWriter {
  readonly #options: TextWriterOptions;
  readonly #decoder: ReturnType<Tokenizer["createDecoder"]>;
  readonly #stop: StopMatcher;
  readonly #tokens: number[] = [];
  readonly #logprobs: Logprobs[] = [];
  /** By token, whether it was an accepted draft token. */
  readonly #drafted: boolean[] = [];
  readonly #startMs = performance.now();
  #firstTokenMs: number | undefined;
  #samples = 0;
  #emittedTokens = 0;
  #text = "";
  #finishReason: FinishReason | undefined;

  constructor(options: TextWriterOptions) {
    this.#options = options;
    this.#decoder = options.tokenizer.createDecoder();
    this.#stop = new StopMatcher(options.stop);
  }

  /** Tokens that may still follow. */
  get remainingTokens(): number {
    return this.#options.maxTokens - this.#tokens.length;
  }

  /** Writes the next token, and returns whether the text goes on. */
  write(sample: Sample, isDrafted = false): boolean {
    this.#firstTokenMs ??= performance.now();
    this.#samples += 1;
    this.#finishReason = this.#accept(sample, isDrafted);
    return this.#finishReason === undefined;
  }

  /** The result; a text that was not finished ends with `abort`. */
  result(reusedTokens: number): Omit<GenerationResult, "speculative"> {
    const { promptTokens, seed } = this.#options;
    const end = performance.now();
    const prefillMs = (this.#firstTokenMs ?? end) - this.#startMs;
    const decodeMs = end - (this.#firstTokenMs ?? end);
    return {
      text: this.#text,
      tokens: this.#tokens,
      promptTokens,
      reusedTokens,
      finishReason: this.#finishReason ?? "abort",
      seed,
      timings: {
        prefillMs,
        decodeMs,
        timeToFirstTokenMs: prefillMs,
        prefillTokensPerSecond: perSecond(promptTokens - reusedTokens, prefillMs),
        decodeTokensPerSecond: perSecond(Math.max(0, this.#samples - 1), decodeMs),
      },
      ...(this.#logprobs.length > 0 && { logprobs: this.#logprobs }),
    };
  }

  #accept({ token, logprobs }: Sample, isDrafted: boolean): FinishReason | undefined {
    const { tokenizer, ignoreEos, maxTokens } = this.#options;
    if (!ignoreEos && tokenizer.endOfGenerationIds.includes(token)) return this.#flush("stop");
    this.#tokens.push(token);
    this.#drafted.push(isDrafted);
    if (logprobs !== undefined) this.#logprobs.push(logprobs);
    const { text, stopped } = this.#stop.push(this.#decoder.push(token));
    if (stopped) {
      this.#emit(text);
      return "stop";
    }
    if (this.#tokens.length >= maxTokens) return this.#flush("length", text);
    if (text.length > 0) this.#emit(text);
    return undefined;
  }

  /** Emits `text` and all that was held back, which may still complete a stop string. */
  #flush(reason: FinishReason, text = ""): FinishReason {
    const last = this.#stop.push(this.#decoder.flush());
    this.#emit(text + last.text + this.#stop.flush());
    return last.stopped ? "stop" : reason;
  }

  #emit(text: string): void {
    const tokens = this.#tokens.slice(this.#emittedTokens);
    const logprobs = this.#logprobs.slice(this.#emittedTokens);
    const drafted = this.#drafted.slice(this.#emittedTokens);
    this.#emittedTokens = this.#tokens.length;
    this.#text += text;
    if (text.length === 0 && tokens.length === 0) return;
    this.#options.emit({
      text,
      tokens,
      ...(drafted.includes(true) && { drafted }),
      ...(logprobs.length > 0 && { logprobs }),
    });
  }
}

function perSecond(count: number, milliseconds: number): number {
  return count > 0 && milliseconds > 0 ? (count * 1000) / milliseconds : 0;
}
