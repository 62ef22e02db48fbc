import { AcceptancePriors } from "../decoding/acceptance-rates.js";
import { StepCosts } from "../util/step-costs.js";
import type { EvictionPolicy } from "../cache/eviction-policy.js";
import { invalidArgument } from "../errors/air-error.js";
import type { ChatTemplate } from "../model/chat-template.js";
import type { Tokenizer } from "../model/tokenizer.js";
import type {
  ConversionReport,
  DecoderSpec,
  KvType,
  ModelDevice,
  NativeAddon,
  NativeKvArena,
  NativeModel,
  NativeRunner,
  NativeTensorDirectory,
  PackCacheReport,
  RowOps,
} from "../native/native.js";
import { type Embedding, type EmbedOptions, embedTexts } from "./embedding.js";
import { type KvIdentity, prefixKeyOf } from "./kv-identity.js";
import { assertFitsContext, closedError, type ModelCore, runUntilAborted } from "./model-core.js";
import { ModelEngine, type ModelEngineStats } from "./model-engine.js";
import type { ModelMemory } from "./model-memory.js";
import type { SessionOptions } from "./options.js";
import { Session } from "./session.js";

/** What a model is. */
export interface ModelInfo {
  readonly architecture: string;
  /** Empty when the file has none. */
  readonly name: string;
  readonly parameterCount: number;
  readonly vocabSize: number;
  /** Tokens of context that the model was trained for. */
  readonly trainedContext: number;
  /** Most tokens of one text, as loaded. */
  readonly contextTokens: number;
  /** Precisions of the KV cache. */
  readonly kv: { readonly keys: KvType; readonly values: KvType; readonly rotateKeys: boolean };
  /** What sequences forget: the name of the eviction policy. */
  readonly policy: string;
  /** Names the model file by its content. */
  readonly fingerprint: string;
  /** The CUDA device that has the weights; undefined on the CPU. */
  readonly device: ModelDevice | undefined;
  /** Compute threads; fewer than asked for where a cgroup's CPU quota allows no more. */
  readonly threads: number;
  /** What packing did to the file's tensors. */
  readonly conversions: readonly ConversionReport[];
  /** What came of the option packCache; undefined without it. */
  readonly packCache: PackCacheReport | undefined;
  /** The draft model, where there is one. */
  readonly draft?: ModelInfo;
}

/** Counters since the model was loaded, and the KV pages now. */
export interface ModelStats extends ModelEngineStats {
  /** The same of the draft model, where there is one. */
  readonly draft?: ModelStats;
}

/** Options of {@link Model.evaluate}. */
export interface EvaluateOptions {
  /** Index of the first token whose logits are wanted. Default 0. */
  readonly logitsFrom?: number;
  /** Takes the logits after tokens[index], in order of index; `row` is valid, and free to overwrite, during the call. */
  readonly onRow: (row: Float32Array, index: number) => void;
  readonly signal?: AbortSignal;
}

/** What a {@link Model} is made of; it closes the handles. */
export interface ModelParts {
  readonly addon: NativeAddon;
  readonly native: NativeModel;
  readonly arena: NativeKvArena;
  readonly runner: NativeRunner;
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate | undefined;
  readonly info: ModelInfo;
  readonly maxBatchTokens: number;
  readonly stepStretch?: number;
  readonly policy: EvictionPolicy;
  readonly prefixCache: boolean;
  /** Of the heads file; see KvIdentity. */
  readonly headsIdentity: string;
  readonly spec: DecoderSpec;
  readonly directory: NativeTensorDirectory;
  /** Parts of the draft model, where there is one; without a draft of its own. */
  readonly draft?: ModelParts;
}

function identityOf({ info, headsIdentity }: ModelParts): KvIdentity {
  const { fingerprint, kv, policy } = info;
  return { model: fingerprint, ...kv, policy, heads: headsIdentity };
}

/** A loaded model. Sessions share its weights, its KV pages and its steps. */
export class Model {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer;
  /** Undefined when the file has none. */
  readonly chatTemplate: ChatTemplate | undefined;
  /** Maths on rows of logits, for evaluate(). */
  readonly rowOps: RowOps;
  readonly #core: ModelCore;
  readonly #target: ModelEngine;
  readonly #draft: ModelEngine | undefined;
  #closed = false;

  /** Use loadModel(). */
  constructor(parts: ModelParts) {
    const { addon, tokenizer, chatTemplate, info } = parts;
    this.info = { ...info, ...(parts.draft && { draft: parts.draft.info }) };
    this.tokenizer = tokenizer;
    this.chatTemplate = chatTemplate;
    this.rowOps = addon;
    this.#target = new ModelEngine(parts);
    this.#draft = parts.draft && new ModelEngine(parts.draft);
    const { vocabSize, contextTokens } = info;
    this.#core = {
      engine: this.#target.engine,
      arena: parts.arena,
      identity: identityOf(parts),
      rowMath: addon,
      tokenizer,
      chatTemplate,
      vocabSize,
      contextTokens,
      embeddingLength: parts.spec.embeddingLength,
      costs: new StepCosts(),
      priors: new AcceptancePriors(),
      draft: parts.draft &&
        this.#draft && {
          engine: this.#draft.engine,
          identity: identityOf(parts.draft),
          vocabSize: parts.draft.info.vocabSize,
          contextTokens: parts.draft.info.contextTokens,
        },
    };
  }

  /** Names all that texts depend on besides the request: models of the same identity say the same, on any machine. */
  get identity(): string {
    return prefixKeyOf(this.#core.identity);
  }

  /** Counters since the model was loaded, and the KV pages now. */
  get stats(): ModelStats {
    return { ...this.#target.stats, ...(this.#draft && { draft: this.#draft.stats }) };
  }

  /** Where the memory is, in bytes. */
  memory(): ModelMemory {
    return { ...this.#target.memory(), ...(this.#draft && { draft: this.#draft.memory() }) };
  }

  /**
   * Opens a session: one text or conversation with its own K/V.
   *
   * @throws {AirError} AIR_ERR_CLOSED, AIR_ERR_ARGUMENT
   */
  createSession(options: SessionOptions = {}): Session {
    if (this.#closed) throw closedError("model");
    return new Session(this.#core, options);
  }

  /**
   * Computes the logits of given tokens, without generating.
   *
   * @param tokens - at most contextTokens ids, at least one
   * @throws {AirError} AIR_ERR_ARGUMENT, AIR_ERR_CONTEXT, AIR_ERR_CLOSED, AIR_ERR_CANCELLED, AIR_ERR_KV_EXHAUSTED
   */
  async evaluate(tokens: Int32Array, options: EvaluateOptions): Promise<void> {
    if (this.#closed) throw closedError("model");
    const { engine, vocabSize, contextTokens } = this.#core;
    const { logitsFrom = 0, onRow, signal } = options;
    if (!Number.isInteger(logitsFrom) || logitsFrom < 0 || logitsFrom >= tokens.length) {
      throw invalidArgument("logitsFrom", `an index below the ${tokens.length} tokens`, logitsFrom);
    }
    assertFitsContext(tokens.length, 0, contextTokens);
    const onLogits = (logits: Float32Array, firstIndex: number): readonly number[] => {
      for (let row = 0; row * vocabSize < logits.length; row += 1) {
        onRow(logits.subarray(row * vocabSize, (row + 1) * vocabSize), firstIndex + row);
      }
      return [];
    };
    const sequence = engine.createSequence(prefixKeyOf(this.#core.identity));
    try {
      await runUntilAborted(engine, sequence, { tokens, logitsFrom, onLogits }, [signal]);
    } finally {
      engine.closeSequence(sequence, closedError("sequence"));
    }
  }

  /**
   * Texts as vectors of length 1 that point in similar directions where texts are alike, as far as the model knows: the
   * hidden states after the last norm, pooled. Beside other requests, and with the same result whatever those are.
   *
   * @param texts - at most contextTokens tokens each
   * @returns one for each text, in their order
   * @throws {AirError} AIR_ERR_ARGUMENT, AIR_ERR_CONTEXT, AIR_ERR_CLOSED, AIR_ERR_CANCELLED, AIR_ERR_TIMEOUT,
   *   AIR_ERR_KV_EXHAUSTED
   */
  async embed(texts: readonly string[], options: EmbedOptions = {}): Promise<readonly Embedding[]> {
    if (this.#closed) throw closedError("model");
    return embedTexts(this.#core, texts, options);
  }

  /**
   * Computes with at most so many threads from the next step on, for heat or for neighbours. What is computed stays the same.
   *
   * @param threads - at least 1; as many as the model has take the limit away
   * @throws {AirError} AIR_ERR_CLOSED, AIR_ERR_ARGUMENT
   */
  limitThreads(threads: number): void {
    if (this.#closed) throw closedError("model");
    if (!(threads >= 1)) throw invalidArgument("threads", "a number of at least 1", threads);
    this.#target.limitThreads(threads);
    this.#draft?.limitThreads(threads);
  }

  /**
   * Closes every session and frees weights and pages, once the step in flight is over. Generations in progress reject
   * with AIR_ERR_CLOSED. Idempotent.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#target.close();
    this.#draft?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
