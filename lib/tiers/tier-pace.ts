import { TokenRate } from "../routing/prediction.js";
import type { GenerationResult } from "../runtime/generation.js";
import { MovingAverage } from "./moving-average.js";

/** Tokens over which measured rates fade. */
const rateMemoryTokens = { prefill: 4096, decode: 1024 } as const;
/** Bytes of weights per second that decoding reads, and loading packs, before anything is measured: a small board's. */
const assumedBytesPerSecond = { decode: 20e9, load: 400e6 } as const;
/** Prefill is so many times faster than decoding, before anything is measured. */
const assumedPrefillFactor = 8;
/** Seconds of an answer before any was given. */
const assumedAnswerSeconds = 1;

/** How fast a local tier is: as measured, and before that as its weights promise. */
export class TierPace {
  readonly #weightBytes: number;
  readonly #prefill: TokenRate;
  readonly #decode: TokenRate;
  readonly #answerSeconds = new MovingAverage(0.2);
  readonly #loadSeconds = new MovingAverage(0.5);

  constructor(weightBytes: number) {
    const decodeRate = assumedBytesPerSecond.decode / Math.max(1, weightBytes);
    this.#weightBytes = weightBytes;
    this.#decode = new TokenRate(decodeRate, rateMemoryTokens.decode);
    this.#prefill = new TokenRate(decodeRate * assumedPrefillFactor, rateMemoryTokens.prefill);
  }

  get prefillTokensPerSecond(): number {
    return this.#prefill.tokensPerSecond;
  }

  get decodeTokensPerSecond(): number {
    return this.#decode.tokensPerSecond;
  }

  /** Of a whole answer, from its turn on. */
  get answerSeconds(): number {
    return this.#answerSeconds.valueOr(assumedAnswerSeconds);
  }

  get loadSeconds(): number {
    return this.#loadSeconds.valueOr(this.#weightBytes / assumedBytesPerSecond.load);
  }

  addLoad(seconds: number): void {
    this.#loadSeconds.add(seconds);
  }

  addAnswer({ promptTokens, reusedTokens, tokens, timings }: GenerationResult, seconds: number): void {
    this.#prefill.add(promptTokens - reusedTokens, timings.prefillMs / 1000);
    this.#decode.add(tokens.length - 1, timings.decodeMs / 1000);
    this.#answerSeconds.add(seconds);
  }
}
