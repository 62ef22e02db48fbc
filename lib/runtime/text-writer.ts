import type { TokenHistory } from "../decoding/penalties.js";
import type { Logprobs, Sample, Sampler } from "../decoding/sampler.js";
import { StopMatcher } from "../decoding/stop.js";
import type { Tokenizer } from "../model/tokenizer.js";
import type { FinishReason, GeneratedChunk, GenerationResult } from "./generation.js";

/** What a {@link TextWriter} works with. */
export interface TextWriterOptions {
  readonly sampler: Sampler;
  readonly tokenizer: Tokenizer;
  readonly stop: readonly string[];
  /** At least 1. */
  readonly maxTokens: number;
  readonly ignoreEos: boolean;
  readonly seed: number;
  readonly promptTokens: number;
  readonly emit: (chunk: GeneratedChunk) => void;
}

/** Turns rows of logits into text, one token at a time, until the text ends. */
export class TextWriter {
  readonly #options: TextWriterOptions;
  readonly #decoder: ReturnType<Tokenizer["createDecoder"]>;
  readonly #stop: StopMatcher;
  readonly #tokens: number[] = [];
  readonly #logprobs: Logprobs[] = [];
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

  /** Samples the token after `history` and returns it if the text goes on, else nothing. */
  write(row: Float32Array, history: TokenHistory): readonly number[] {
    this.#firstTokenMs ??= performance.now();
    this.#samples += 1;
    const sample = this.#options.sampler.sample(row, history);
    this.#finishReason = this.#accept(sample);
    if (this.#finishReason === undefined) return [sample.token];
    return [];
  }

  /** The result; a text that was not finished ends with `abort`. */
  result(reusedTokens: number): GenerationResult {
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

  #accept({ token, logprobs }: Sample): FinishReason | undefined {
    const { tokenizer, ignoreEos, maxTokens } = this.#options;
    if (!ignoreEos && tokenizer.endOfGenerationIds.includes(token)) return this.#flush("stop");
    this.#tokens.push(token);
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
    this.#emittedTokens = this.#tokens.length;
    this.#text += text;
    if (text.length === 0 && tokens.length === 0) return;
    this.#options.emit({ text, tokens, ...(logprobs.length > 0 && { logprobs }) });
  }
}

function perSecond(count: number, milliseconds: number): number {
  return count > 0 && milliseconds > 0 ? (count * 1000) / milliseconds : 0;
}
