import { invalidArgument } from "../errors/air-error.js";
import type { DecoderSpec, KvType, ThreadOptions } from "../native/native.js";
import { rotatesKeys } from "../runtime/kv-settings.js";
import type { LoadModelOptions } from "../runtime/options.js";
import { channelsPerGroup } from "./contributions.js";
import type { WorkProgress } from "./work-meter.js";

/** Options of {@link calibrate}; those of loadModel() mean the same, and kv is what is calibrated with. */
export interface CalibrateOptions
  extends
    ThreadOptions,
    Pick<
      LoadModelOptions,
      | "kv"
      | "kvKeys"
      | "kvValues"
      | "rotateKeys"
      | "device"
      | "gpuLayers"
      | "packCache"
      | "memoryBytes"
      | "force"
      | "addon"
    > {
  /** Query heads to mask, as a fraction of all. Default 0. */
  readonly budget?: number;
  /** Most of a layer's query heads, or groups of channels, that may go, as a fraction. Default 0.5. */
  readonly layerCap?: number;
  /**
   * KV heads are demoted as long as perplexity rises by no more than this fraction. Default 0.01 without a budget, else no
   * head is demoted.
   */
  readonly maxPerplexityIncrease?: number;
  /** Feed-forward channels to prune, as a fraction of all groups of 32. Default 0. */
  readonly channelBudget?: number;
  /** What demoted heads see. Default 252 tokens and 4 sinks. */
  readonly windowTokens?: number;
  readonly sinkTokens?: number;
  /** Tokens per text. Default: what the model was trained for, at most 1024. */
  readonly contextTokens?: number;
  /** Tokens that every head is scored on, about. Default 4096. */
  readonly scoreTokens?: number;
  /** Tokens that decide how far to go, about. Default 8192. */
  readonly holdoutTokens?: number;
  /** File that keeps scores, so that an interrupted calibration goes on. Default: none. */
  readonly journal?: string;
  readonly onProgress?: (progress: WorkProgress) => void;
  readonly signal?: AbortSignal;
}

/** Defaults of {@link CalibrateOptions}. */
export const defaults = {
  windowTokens: 252,
  sinkTokens: 4,
  scoreTokens: 4096,
  holdoutTokens: 8192,
  layerCap: 0.5,
};

/** How the KV cache that is calibrated with stores keys and values. */
export function kvPrecision({ kv = "int8", kvKeys = kv, kvValues = kv, rotateKeys }: CalibrateOptions): {
  readonly keyType: KvType;
  readonly valueType: KvType;
  readonly rotateKeys: boolean;
} {
  return { keyType: kvKeys, valueType: kvValues, rotateKeys: rotatesKeys(kvKeys, rotateKeys) };
}

/** Numbers of heads and groups that options come down to. */
export interface Budgets {
  /** Query heads to mask. */
  readonly heads: number;
  /** Most query heads of a layer. */
  readonly headCap: number;
  readonly channelBudget: number;
  /** Most groups of channels of a layer. */
  readonly groupCap: number;
  /** By what fraction demotions may raise perplexity; undefined demotes nothing. */
  readonly maxIncrease: number | undefined;
}

/** @throws {AirError} AIR_ERR_ARGUMENT for options out of range */
export function resolveBudgets(options: CalibrateOptions, spec: DecoderSpec): Budgets {
  const { budget = 0, channelBudget = 0, layerCap = defaults.layerCap } = options;
  for (const [name, value] of Object.entries({ budget, channelBudget, layerCap })) {
    if (!(value >= 0 && value <= 1)) throw invalidArgument(name, "a fraction from 0 to 1", value);
  }
  const headCap = Math.max(1, Math.floor(layerCap * spec.queryHeads));
  const groups = Math.ceil(spec.feedForwardLength / channelsPerGroup);
  const groupCap = Math.min(groups - 1, Math.max(1, Math.floor(layerCap * groups)));
  const maxIncrease =
    options.maxPerplexityIncrease ?? (budget === 0 && channelBudget === 0 ? 0.01 : undefined);
  if (maxIncrease !== undefined && !(maxIncrease >= 0)) {
    throw invalidArgument("maxPerplexityIncrease", "a number of at least 0", maxIncrease);
  }
  return {
    heads: Math.min(Math.round(budget * spec.layers * spec.queryHeads), headCap * spec.layers),
    headCap,
    channelBudget,
    groupCap,
    maxIncrease,
  };
}
