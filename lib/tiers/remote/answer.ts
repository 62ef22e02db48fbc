import { StopMatcher } from "../../decoding/stop.js";
import type { FinishReason, GeneratedChunk, GenerationResult } from "../../runtime/generation.js";
import {
  type CompletionChunk,
  type CompletionUsage,
  isOtherModel,
  type RemoteLogprobs,
} from "./completion-chunk.js";

/** What a remote answer tells beside its text. */
export interface RemoteReport {
  readonly tier: string;
  /** Requests that were sent for it; all but the last failed before there was any text. */
  readonly attempts: number;
  /** The model that the endpoint says has answered. */
  readonly model?: string;
  /** That model is another one than was asked for. */
  readonly isOtherModel: boolean;
  /** Why the answer ended, in the endpoint's own word, such as `content_filter`. */
  readonly finishReason?: string;
  /** Tokens of the answer as the endpoint counts them. */
  readonly completionTokens?: number;
  /** Where asked for and supported: by the texts of tokens, because ids are another vocabulary's. */
  readonly logprobs?: readonly RemoteLogprobs[];
}

/** A finished remote generation. `tokens` is empty: an endpoint sends text. */
export interface RemoteGenerationResult extends GenerationResult {
  readonly remote: RemoteReport;
}

/** What an {@link Answer} needs to know. */
export interface AnswerOptions {
  readonly tier: string;
  readonly model: string;
  readonly seed: number;
  readonly stop: readonly string[];
  readonly now: () => number;
  /** When the generation began, in milliseconds of now(). */
  readonly startedAt: number;
  readonly emit: (chunk: GeneratedChunk) => void;
}

/** Words of endpoints that mean that the answer was cut for its length. */
const lengthWords: readonly string[] = ["length", "max_tokens", "model_length"];
/** Words for an answer that the endpoint gave up. */
const failureWords: readonly string[] = ["error", "abort", "cancelled"];

/** Puts the chunks of one attempt together, and hands text on as soon as it can no longer change. */
export class Answer {
  readonly #options: AnswerOptions;
  readonly #stop: StopMatcher;
  readonly #logprobs: RemoteLogprobs[] = [];
  #text = "";
  /** First half of a character that two chunks share. */
  #half = "";
  #pieces = 0;
  #hasChoice = false;
  #isStopped = false;
  #finishWord: string | undefined;
  #model: string | undefined;
  #usage: CompletionUsage | undefined;
  #firstTextAt: number | undefined;
  #lastTextAt: number | undefined;

  constructor(options: AnswerOptions) {
    this.#options = options;
    this.#stop = new StopMatcher(options.stop);
  }

  /** Characters that the reader was given. */
  get characters(): number {
    return this.#text.length;
  }

  get text(): string {
    return this.#text;
  }

  /** Whether the endpoint said anything that belongs to an answer. */
  get hasChoice(): boolean {
    return this.#hasChoice;
  }

  /** Whether the text is whole: the endpoint said so, or a stop string ended it. */
  get isWhole(): boolean {
    return this.#isStopped || this.#finishWord !== undefined;
  }

  /** Whether a stop string ended the text here, whatever the endpoint goes on to say. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Whether the endpoint says that it gave the answer up. */
  get isGivenUp(): boolean {
    return this.#finishWord !== undefined && failureWords.includes(this.#finishWord);
  }

  /** Takes what an event says. Text after the end is dropped. */
  push(chunk: CompletionChunk): void {
    this.#model = chunk.model ?? this.#model;
    this.#usage = chunk.usage ?? this.#usage;
    if (chunk.hasChoice) this.#hasChoice = true;
    if (this.isWhole) return;
    if (chunk.logprobs !== undefined) this.#logprobs.push(...chunk.logprobs);
    if (chunk.text.length > 0) this.#add(chunk.text);
    this.#finishWord = chunk.finishReason;
  }

  /** The endpoint says that there is no more; it did not say why. */
  end(): void {
    this.#finishWord ??= "stop";
  }

  /** Hands on what was held back, and gives the result. */
  result(attempts: number, isLeft = false): RemoteGenerationResult {
    const { tier, model: asked, seed, startedAt, now } = this.#options;
    if (!isLeft && !this.#isStopped) {
      const last = this.#stop.push(this.#half === "" ? "" : "\ufffd");
      this.#emit(last.text + this.#stop.flush());
    }
    const [usage, answered, word] = [this.#usage, this.#model, this.#finishWord];
    const firstTextAt = this.#firstTextAt ?? now();
    const decodeMs = (this.#lastTextAt ?? firstTextAt) - firstTextAt;
    const prefillMs = firstTextAt - startedAt;
    const { promptTokens = 0, cachedTokens = 0, completionTokens = this.#pieces } = usage ?? {};
    return {
      text: this.#text,
      tokens: [],
      promptTokens,
      reusedTokens: Math.min(cachedTokens, promptTokens),
      finishReason: isLeft ? "abort" : this.#finishReason(),
      seed,
      timings: {
        prefillMs,
        decodeMs,
        timeToFirstTokenMs: prefillMs,
        prefillTokensPerSecond: perSecond(promptTokens - cachedTokens, prefillMs),
        decodeTokensPerSecond: perSecond(completionTokens - 1, decodeMs),
      },
      remote: {
        tier,
        attempts,
        isOtherModel: answered !== undefined && isOtherModel(asked, answered),
        ...(answered !== undefined && { model: answered }),
        ...(word !== undefined && { finishReason: word }),
        ...(usage !== undefined && { completionTokens }),
        ...(this.#logprobs.length > 0 && { logprobs: this.#logprobs }),
      },
    };
  }

  #finishReason(): FinishReason {
    return !this.#isStopped && lengthWords.includes(this.#finishWord ?? "") ? "length" : "stop";
  }

  #add(text: string): void {
    const whole = this.#half + text;
    const isCut = /[\ud800-\udbff]$/.test(whole);
    this.#half = isCut ? whole.slice(-1) : "";
    this.#pieces += 1;
    const piece = this.#stop.push(isCut ? whole.slice(0, -1) : whole);
    this.#isStopped = piece.stopped;
    this.#emit(piece.text);
  }

  #emit(text: string): void {
    if (text.length === 0) return;
    this.#lastTextAt = this.#options.now();
    this.#firstTextAt ??= this.#lastTextAt;
    this.#text += text;
    this.#options.emit({ text, tokens: [] });
  }
}

function perSecond(count: number, milliseconds: number): number {
  return count > 0 && milliseconds > 0 ? (count * 1000) / milliseconds : 0;
}
