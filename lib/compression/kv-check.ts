import { invalidArgument } from "../errors/air-error.js";
import type { KvType } from "../native/native.js";
import { rotatesKeys } from "../runtime/kv-settings.js";
import { loadModelParts } from "../runtime/load-model.js";
import { abortedError } from "../runtime/model-core.js";
import type { ModelParts } from "../runtime/model.js";
import { type LoadModelOptions, threadOptionNames } from "../runtime/options.js";
import { at } from "../util/array-access.js";
import { pickGiven } from "../util/options.js";
import { CalibrationRunner } from "./calibration-runner.js";
import { type DivergenceFigures, DivergenceTally } from "./divergence-tally.js";
import { wholeModel } from "./head-selection.js";
import { kvCheckPassage } from "./kv-check-passage.js";

/** Options of {@link checkKvPrecision}; those of loadModel() mean the same. */
export interface KvCheckOptions extends Pick<
  LoadModelOptions,
  | "kv"
  | "kvKeys"
  | "kvValues"
  | "rotateKeys"
  | "device"
  | "gpuLayers"
  | "threads"
  | "cpuList"
  | "priority"
  | "packCache"
  | "memoryBytes"
  | "force"
  | "onProgress"
  | "addon"
> {
  /** What is computed, its first 512 tokens at most. Default: a passage of prose and code. */
  readonly text?: string;
  /** Stops between two computations. */
  readonly signal?: AbortSignal;
}

/** What a precision of the KV cache does to a model: little, something that texts show, or harm. */
export type KvVerdict = "fine" | "visible" | "harmful";

/** How far predictions with the checked precision are from those with a float16 cache. */
export interface KvCheckResult extends DivergenceFigures {
  readonly keys: KvType;
  readonly values: KvType;
  /** Tokens whose predictions were compared. */
  readonly tokens: number;
  readonly verdict: KvVerdict;
  /** Mean divergence with only the keys, and only the values, in that precision; absent when the verdict is fine. */
  readonly alone?: { readonly keys: number; readonly values: number };
}

/**
 * Mean divergence in nats up to which a precision is fine. Where the whole model is right about a text, a divergence of d
 * multiplies perplexity by exp(d), so this is 1%, what `air calibrate` lets heads cost. Models without outliers are far
 * below it: int8 takes 5e-5 to 6e-4 nats of the bundled ones, int4 is near the limit.
 */
export const fineDivergence = 0.01;

/** From here on, perplexity rises by a tenth and more: what 4-bit weights cost, or more. The precision is not worth its memory. */
export const harmfulDivergence = 0.1;

/** Most tokens that are computed. */
const maxTokens = 512;

/** Most memory for the rows of the float16 cache. */
const maxRowBytes = 64 * 2 ** 20;

/**
 * Finds out whether a model bears a precision of the KV cache, by computing a short text with it and with a float16 cache.
 * Few models have keys so large in some dimensions that nothing is left of the others after rounding; those are found here.
 *
 * @param path - the GGUF file
 * @throws {AirError} as loadModel(); AIR_ERR_ARGUMENT for a text of less than two tokens, AIR_ERR_CANCELLED when the
 *   signal aborts
 * @example
 * const { verdict, meanDivergence } = await checkKvPrecision("model.gguf", { kv: "int4" });
 */
export async function checkKvPrecision(path: string, options: KvCheckOptions = {}): Promise<KvCheckResult> {
  const { text = kvCheckPassage, signal, ...load } = options;
  const { kv = "int8", kvKeys: keys = kv, kvValues: values = kv } = load;
  const rotateKeys = rotatesKeys(keys, load.rotateKeys);
  const parts = await loadModelParts(path, { ...load, contextTokens: 2 });
  parts.runner.close();
  parts.arena.close();
  try {
    const comparison = new KvComparison(parts, text, load, signal);
    await comparison.keepReference();
    const { model, meanDivergence, p99Divergence, sameTopRate } = await comparison.compare(
      keys,
      values,
      rotateKeys,
    );
    const verdict = verdictOf(meanDivergence);
    const meanOf = async (keyType: KvType, valueType: KvType): Promise<number> =>
      (await comparison.compare(keyType, valueType, rotateKeys)).meanDivergence;
    return {
      keys,
      values,
      tokens: model.tokens,
      meanDivergence,
      p99Divergence,
      sameTopRate,
      verdict,
      ...(verdict !== "fine" && {
        alone: { keys: await meanOf(keys, "f16"), values: await meanOf("f16", values) },
      }),
    };
  } finally {
    parts.native.close();
  }
}

/** The verdict on a mean divergence in nats. */
export function verdictOf(meanDivergence: number): KvVerdict {
  if (meanDivergence <= fineDivergence) return "fine";
  return meanDivergence < harmfulDivergence ? "visible" : "harmful";
}

/** One text, computed with different caches over the same weights. */
class KvComparison {
  readonly #parts: ModelParts;
  readonly #options: KvCheckOptions;
  readonly #signal: AbortSignal | undefined;
  readonly #tokens: Int32Array;
  /** Tokens whose predictions are compared: the last ones, which read the most, as many as there is room for. */
  readonly #rows: readonly number[];
  readonly #reference: Float32Array;

  constructor(parts: ModelParts, text: string, options: KvCheckOptions, signal: AbortSignal | undefined) {
    const { vocabSize } = parts.spec;
    const limit = Math.min(maxTokens, parts.info.trainedContext);
    this.#parts = parts;
    this.#options = options;
    this.#signal = signal;
    this.#tokens = parts.tokenizer.encode(text, { special: false }).subarray(0, limit);
    if (this.#tokens.length < 2) {
      throw invalidArgument("text", "one of at least two tokens", text);
    }
    const predicted = this.#tokens.length - 1;
    const count = Math.max(1, Math.min(predicted, Math.floor(maxRowBytes / (4 * vocabSize))));
    this.#rows = Array.from({ length: count }, (_, order) => predicted - count + order);
    this.#reference = new Float32Array(count * vocabSize);
  }

  async keepReference(): Promise<void> {
    const { vocabSize } = this.#parts.spec;
    let order = 0;
    await this.#run("f16", "f16", false, (row) => {
      this.#reference.set(row, order * vocabSize);
      order += 1;
    });
  }

  async compare(
    keys: KvType,
    values: KvType,
    rotateKeys: boolean,
  ): Promise<ReturnType<DivergenceTally["result"]>> {
    const { addon, spec } = this.#parts;
    const tally = new DivergenceTally(addon, spec.vocabSize);
    let start = 0;
    await this.#run(keys, values, rotateKeys, (row, index) => {
      const reference = this.#reference.subarray(start, start + spec.vocabSize);
      tally.add(reference, row, at(this.#tokens, index + 1));
      start += spec.vocabSize;
    });
    return tally.result();
  }

  async #run(
    keyType: KvType,
    valueType: KvType,
    rotateKeys: boolean,
    onRow: (row: Float32Array, index: number) => void,
  ): Promise<void> {
    if (this.#signal?.aborted === true) throw abortedError(this.#signal);
    const contextTokens = this.#tokens.length;
    const runner = new CalibrationRunner(this.#parts, {
      contextTokens,
      window: { windowTokens: contextTokens, sinkTokens: 0 },
      keyType,
      valueType,
      rotateKeys,
      ...pickGiven(this.#options, threadOptionNames),
    });
    try {
      await runner.run(this.#tokens, wholeModel, this.#rows, onRow);
    } finally {
      runner.close();
    }
  }
}
