/** A runtime that answers from a script, for tests of the server. */
import { abortedError } from "../../lib/runtime/model-core.js";
import { GenerationStream } from "../../lib/runtime/generation.js";
import type { RouteDecision } from "../../lib/routing/decision.js";
import type { ServedModel, ServedRuntime } from "../../lib/server/served-runtime.js";
import type { RoutedReply, RoutedResult } from "../../lib/tiers/routed-reply.js";
import type {
  RoutedEmbeddings,
  RoutedEmbedOptions,
  RoutedOptions,
  RuntimeStats,
} from "../../lib/tiers/runtime-types.js";
import type { TierInput } from "../../lib/tiers/tier.js";
import { createDeferred } from "../../lib/util/deferred.js";
import { encodeCharacters, fakeTokenizer } from "./fake-model.js";

/** One thing that an answer does: a piece of text, of tokens that were drafted or not, an error, or nothing until it ends. */
export type AnswerStep = string | Error | typeof hang | { readonly guessed: string };

export const hang = Symbol("hang");

/** A request that the runtime was given. */
export interface FakeRequest {
  readonly input: TierInput;
  readonly options: RoutedOptions;
  /** Resolves when the answer has ended; true when it was cancelled. */
  readonly cancelled: Promise<boolean>;
}

const held = { value: 0, tiersDown: 0 };

const decision: RouteDecision = {
  ...{ tier: 0, name: "small", wanted: 0, reason: "score", detail: "Score 0.10 asks for small." },
  ...{ score: 0.1, confidence: 0.9, predictedMs: 10 },
};

const fakeModel: ServedModel = {
  tokenizer: fakeTokenizer,
  chatTemplate: {
    knowsTools: false,
    render: () => "",
    encode: (messages) => encodeCharacters(messages.map(({ content }) => content).join("")),
  },
  identity: "fake",
  info: { fingerprint: "0123456789abcdef", contextTokens: 512 },
  stats: {
    ...{ freePages: 3, usablePages: 4, steps: 5, computedTokens: 40 },
    pages: [{ headClass: "full", usable: 4, free: 3, cached: 2 }],
    stepSizes: {
      sequences: 11,
      upTo: [
        { sequences: 1, steps: 2 },
        { sequences: 4, steps: 5 },
        { sequences: Infinity, steps: 5 },
      ],
    },
    prefixCache: { lookups: 4, hits: 1, hitTokens: 16, cachedPages: 2 },
  },
};

function resultOf(text: string, pieces: readonly string[], options: RoutedOptions): RoutedResult {
  const tokens = [...encodeCharacters(text)];
  const { logprobs, maxTokens = Infinity, seed = 5, tier = "small" } = options;
  return {
    ...{ text, tokens, promptTokens: 7, reusedTokens: 2, seed, tier, attempts: [] },
    finishReason: tokens.length >= maxTokens ? "length" : "stop",
    decision: { ...decision, name: tier },
    timings: {
      ...{ prefillMs: 1, decodeMs: 2, timeToFirstTokenMs: 1, prefillTokensPerSecond: 7000 },
      decodeTokensPerSecond: pieces.length * 500,
    },
    ...(logprobs !== undefined && { logprobs: logprobsOf(tokens, logprobs) }),
  };
}

function logprobsOf(tokens: readonly number[], count: number) {
  return tokens.map((token) => {
    const top = Array.from({ length: count }, (_, index) => ({
      token: token + index,
      logprob: index === 0 ? -0.5 : -Infinity,
    }));
    return { token, logprob: -0.5, top };
  });
}

export class FakeRuntime implements ServedRuntime {
  readonly tierNames = ["small", "large", "remote"];
  readonly localTierNames = ["small", "large"];
  readonly requests: FakeRequest[] = [];
  isLoaded = true;
  /** What the sensors say. */
  machine: RuntimeStats["machine"] = undefined;
  /** What answers say; each request takes the next one, and the last one stays. */
  script: (readonly AnswerStep[])[] = [["hello", " world"]];

  get stats(): RuntimeStats {
    const loads = this.isLoaded ? 1 : 0;
    const tier = { requests: 0, failures: 0, loads, unloads: 0, active: 1, waiting: 2, answered: 0 };
    return {
      ...{ requests: 0, answered: 0, failed: 0, escalations: 3, fallbacks: 1 },
      tiers: {
        small: { ...tier, isLoaded: this.isLoaded },
        large: { ...tier, isLoaded: false },
        remote: { ...tier, isLoaded: false },
      },
      pressure: { memory: held, heat: held, queue: held },
      machine: this.machine,
    };
  }

  readonly #loaded = new Set(["small"]);

  async load(tier: string): Promise<void> {
    this.#loaded.add(tier);
    return Promise.resolve();
  }

  readonly reloads: string[] = [];

  async reload(tier: string): Promise<void> {
    this.reloads.push(tier);
    return Promise.resolve();
  }

  readonly embedRequests: { readonly texts: readonly string[]; readonly options: RoutedEmbedOptions }[] = [];

  /** A vector of a text is its length and a 1. */
  async embed(texts: readonly string[], options: RoutedEmbedOptions = {}): Promise<RoutedEmbeddings> {
    this.embedRequests.push({ texts, options });
    const { tier = "small", dimensions } = options;
    const embeddings = texts.map(({ length }) => ({
      vector: Float32Array.of(length, 1).subarray(0, dimensions),
      tokens: length,
    }));
    return Promise.resolve({ tier, embeddings });
  }

  model(tier: string): ServedModel | undefined {
    return this.isLoaded && this.#loaded.has(tier) ? fakeModel : undefined;
  }

  generate(input: TierInput, options: RoutedOptions = {}): RoutedReply {
    const steps = this.script.length > 1 ? this.script.shift() : this.script[0];
    const stream = new GenerationStream<RoutedResult>(() => undefined);
    const cancelled = createDeferred<boolean>();
    this.requests.push({ input, options, cancelled: cancelled.promise });
    void this.#answer(stream, steps ?? [], options).then(cancelled.resolve);
    const { tier: name = "small" } = options;
    return Object.assign(stream, {
      decision: Promise.resolve({ ...decision, name }),
      latestDecision: () => ({ ...decision, name }),
    });
  }

  /** Returns whether the answer was cancelled. */
  async #answer(
    stream: GenerationStream<RoutedResult>,
    steps: readonly AnswerStep[],
    options: RoutedOptions,
  ): Promise<boolean> {
    const { signal = new AbortController().signal, logprobs } = options;
    const pieces: string[] = [];
    for (const step of steps) {
      await new Promise(setImmediate);
      if (step === hang) {
        await new Promise((resolve) => {
          if (signal.aborted) resolve(undefined);
          signal.addEventListener("abort", resolve, { once: true });
        });
        stream.fail(abortedError(signal));
        return true;
      }
      if (signal.aborted) {
        stream.fail(abortedError(signal));
        return true;
      }
      if (step instanceof Error) {
        stream.fail(step);
        return false;
      }
      const isGuessed = typeof step === "object";
      const text = isGuessed ? step.guessed : step;
      pieces.push(text);
      const tokens = [...encodeCharacters(text)];
      stream.push({
        text,
        tokens,
        ...(isGuessed && { drafted: tokens.map(() => true) }),
        ...(logprobs !== undefined && { logprobs: logprobsOf(tokens, logprobs) }),
      });
    }
    stream.finish(resultOf(pieces.join(""), pieces, options));
    return false;
  }
}
