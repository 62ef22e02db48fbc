import { getInteger, getNumber, getString, type Metadata } from "./metadata.js";
import { formatError, unsupported } from "./model-errors.js";
import type { RopeScaling } from "./rope-scaling.js";

/** The numbers that define a decoder of the llama family, from a file's metadata. */
export interface Hyperparameters {
  readonly layers: number;
  readonly embeddingLength: number;
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly feedForwardLength: number;
  readonly vocabSize: number;
  readonly trainedContext: number;
  readonly normEpsilon: number;
  readonly rope: {
    readonly dimensions: number;
    readonly base: number;
    readonly scaling: RopeScaling;
    readonly attentionFactor: number;
  };
}

const layerCount = { minimum: 1, maximum: 1024 } as const;
const smallCount = { minimum: 1, maximum: 65_536 } as const;
const largeCount = { minimum: 1, maximum: 2 ** 31 - 1 } as const;

/**
 * Reads the `<architecture>.*` keys and checks them against each other.
 *
 * @throws {AirError} AIR_ERR_MODEL_FORMAT naming the key that is missing or out of range; AIR_ERR_UNSUPPORTED for
 * experts, unequal key and value heads, and rope scaling of an unknown kind.
 */
export function readHyperparameters(metadata: Metadata, architecture: string): Hyperparameters {
  const key = (name: string): string => `${architecture}.${name}`;
  const experts = getInteger(metadata, key("expert_count"), { minimum: 0, maximum: 65_536 }, 0);
  if (experts > 0) throw unsupported(`metadata ${key("expert_count")}`, "a model without experts", experts);

  const embeddingLength = getInteger(metadata, key("embedding_length"), largeCount);
  const queryHeads = getInteger(metadata, key("attention.head_count"), smallCount);
  const kvHeads = getInteger(metadata, key("attention.head_count_kv"), smallCount, queryHeads);
  if (queryHeads % kvHeads !== 0) {
    const subject = `metadata ${key("attention.head_count_kv")}`;
    throw formatError(subject, `a divisor of the ${String(queryHeads)} query heads`, kvHeads);
  }
  const headDim = readHeadDim(metadata, architecture, embeddingLength, queryHeads);
  const trainedContext = getInteger(metadata, key("context_length"), largeCount);
  return {
    layers: getInteger(metadata, key("block_count"), layerCount),
    embeddingLength,
    queryHeads,
    kvHeads,
    headDim,
    feedForwardLength: getInteger(metadata, key("feed_forward_length"), largeCount),
    vocabSize: readVocabSize(metadata, architecture),
    trainedContext,
    normEpsilon: positive(metadata, key("attention.layer_norm_rms_epsilon")),
    rope: {
      dimensions: readRopeDimensions(metadata, architecture, headDim),
      base: positive(metadata, key("rope.freq_base"), 10_000),
      scaling: readRopeScaling(metadata, architecture, trainedContext),
      attentionFactor: positive(metadata, key("rope.scaling.attn_factor"), 1),
    },
  };
}

function readHeadDim(
  metadata: Metadata,
  architecture: string,
  embedding: number,
  queryHeads: number,
): number {
  const even = embedding % queryHeads === 0 ? embedding / queryHeads : undefined;
  const headDim = getInteger(metadata, `${architecture}.attention.key_length`, smallCount, even);
  const valueLength = getInteger(metadata, `${architecture}.attention.value_length`, smallCount, headDim);
  if (valueLength !== headDim) {
    const subject = `metadata ${architecture}.attention.value_length`;
    throw unsupported(subject, `the key length ${String(headDim)}`, valueLength);
  }
  return headDim;
}

function readVocabSize(metadata: Metadata, architecture: string): number {
  const key = `${architecture}.vocab_size`;
  const tokens = metadata.get("tokenizer.ggml.tokens");
  const tokenCount = Array.isArray(tokens) ? tokens.length : undefined;
  const vocabSize = getInteger(metadata, key, largeCount, tokenCount);
  if (tokenCount !== undefined && tokenCount !== vocabSize) {
    const expected = `${String(tokenCount)}, the number of tokenizer.ggml.tokens,`;
    throw formatError(`metadata ${key}`, expected, vocabSize);
  }
  return vocabSize;
}

function readRopeDimensions(metadata: Metadata, architecture: string, headDim: number): number {
  const key = `${architecture}.rope.dimension_count`;
  const dimensions = getInteger(metadata, key, { minimum: 2, maximum: headDim }, headDim);
  if (dimensions % 2 !== 0) throw formatError(`metadata ${key}`, "an even number", dimensions);
  return dimensions;
}

function readRopeScaling(metadata: Metadata, architecture: string, trainedContext: number): RopeScaling {
  const key = (name: string): string => `${architecture}.rope.scaling.${name}`;
  // A file with a factor and no type means linear; `scale_linear` is the factor's older name.
  const kind = getString(metadata, key("type"), "linear");
  const older = getNumber(metadata, `${architecture}.rope.scale_linear`, 0);
  const factor = getNumber(metadata, key("factor"), older) || 1;
  if (factor < 0) throw formatError(`metadata ${key("factor")}`, "a positive number", factor);
  switch (kind) {
    case "none":
      return { kind: "none" };
    case "linear":
      return factor === 1 ? { kind: "none" } : { kind: "linear", factor };
    case "yarn":
      return {
        kind: "yarn",
        factor,
        originalContext: getInteger(metadata, key("original_context_length"), largeCount, trainedContext),
        extrapolation: getNumber(metadata, key("yarn_ext_factor"), 1),
        betaFast: positive(metadata, key("yarn_beta_fast"), 32),
        betaSlow: positive(metadata, key("yarn_beta_slow"), 1),
      };
    case "llama3":
      return {
        kind: "llama3",
        factor,
        lowFrequencyFactor: positive(metadata, key("low_freq_factor"), 1),
        highFrequencyFactor: positive(metadata, key("high_freq_factor"), 4),
        originalContext: getInteger(metadata, key("original_context_length"), largeCount, 8192),
      };
    default:
      throw unsupported(`metadata ${key("type")}`, "none, linear, llama3 or yarn", kind);
  }
}

function positive(metadata: Metadata, key: string, fallback?: number): number {
  const value = getNumber(metadata, key, fallback);
  if (value <= 0) throw formatError(`metadata ${key}`, "a positive number", value);
  return value;
}
