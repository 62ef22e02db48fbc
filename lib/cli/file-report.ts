import type { ModelFile } from "../model/gguf.js";
import type { MetadataValue } from "../model/metadata.js";

/** Tensors of one storage type. */
export interface TensorTypeReport {
  readonly type: string;
  readonly count: number;
  readonly parameters: number;
  readonly bytes: number;
}

/** What a model file's header says, whether or not air can run it; absent facts are undefined. */
export interface FileReport {
  readonly path: string;
  readonly fileBytes: number;
  readonly name: string | undefined;
  readonly architecture: string;
  readonly parameterCount: number;
  readonly shape: {
    readonly layers: number | undefined;
    readonly embeddingLength: number | undefined;
    readonly feedForwardLength: number | undefined;
    readonly queryHeads: number | undefined;
    readonly kvHeads: number | undefined;
    readonly headDim: number | undefined;
  };
  /** The context that the model was trained for. */
  readonly contextTokens: number | undefined;
  readonly rope: { readonly base: number | undefined; readonly scaling: string | undefined };
  readonly tokenizer: {
    readonly kind: string | undefined;
    readonly preTokenizer: string | undefined;
    readonly tokens: number;
    readonly chatTemplate: boolean;
  };
  /** Largest first. */
  readonly tensors: readonly TensorTypeReport[];
  /** Estimates; `model.memory()` has the real numbers of a loaded model. */
  readonly memory: {
    /** Packed weights and the embedding table, which is read in place from the file. */
    readonly weightBytes: number;
    readonly kvBytesPerToken: { readonly int8: number; readonly f16: number } | undefined;
  };
}

/** Bytes of 32 packed weights by the type they had in the file (kernels/include/air_formats.h). */
const packedGroupBytes: Readonly<Record<string, number>> = {
  F32: 128,
  F16: 64,
  BF16: 64,
  Q8_0: 34,
  Q4_0: 18,
  Q4_1: 20,
  Q5_0: 34,
  Q5_1: 36,
  Q4_K: 20,
  Q5_K: 36,
  Q6_K: 36,
};

function elements(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

function tensorTypes({ tensors }: ModelFile): readonly TensorTypeReport[] {
  const types = new Map<string, TensorTypeReport>();
  for (const { type, shape, lengthBytes } of tensors) {
    const sum = types.get(type) ?? { type, count: 0, parameters: 0, bytes: 0 };
    types.set(type, {
      type,
      count: sum.count + 1,
      parameters: sum.parameters + elements(shape),
      bytes: sum.bytes + lengthBytes,
    });
  }
  return [...types.values()].sort((a, b) => b.bytes - a.bytes);
}

function weightBytes({ tensors }: ModelFile): number {
  const tied = !tensors.some(({ name }) => name === "output.weight");
  let sum = 0;
  for (const { name, type, shape, lengthBytes } of tensors) {
    const group = packedGroupBytes[type];
    const packed = group === undefined ? lengthBytes : (elements(shape) / 32) * group;
    const embedding = name === "token_embd.weight";
    // A tied table is there twice: mapped for looking up rows, packed for the output matrix.
    if (embedding) sum += lengthBytes;
    if (!embedding || tied) sum += packed;
  }
  return Math.ceil(sum);
}

/** Keys and values of one token over all layers and KV heads; int8 adds a float16 scale to each. */
function kvBytesPerToken(
  shape: FileReport["shape"],
): { readonly int8: number; readonly f16: number } | undefined {
  const { layers, kvHeads, headDim } = shape;
  if (layers === undefined || kvHeads === undefined || headDim === undefined) return undefined;
  const members = layers * kvHeads;
  const paddedDim = Math.ceil(headDim / 32) * 32;
  return { int8: members * 2 * (paddedDim + 2), f16: members * 2 * paddedDim * 2 };
}

/** Reads a header leniently: a fact that is absent or of the wrong kind is left out, never an error. */
export function reportFile(file: ModelFile): FileReport {
  const { metadata } = file;
  const text = (key: string) => asString(metadata.get(key));
  const architecture = text("general.architecture") ?? "unknown";
  const number = (key: string) => asNumber(metadata.get(`${architecture}.${key}`));
  const embeddingLength = number("embedding_length");
  const queryHeads = number("attention.head_count");
  const derivedHeadDim =
    embeddingLength === undefined || queryHeads === undefined ? undefined : embeddingLength / queryHeads;
  const shape = {
    layers: number("block_count"),
    embeddingLength,
    feedForwardLength: number("feed_forward_length"),
    queryHeads,
    kvHeads: number("attention.head_count_kv") ?? queryHeads,
    headDim: number("attention.key_length") ?? derivedHeadDim,
  };
  const vocabulary = metadata.get("tokenizer.ggml.tokens");
  const tensors = tensorTypes(file);
  return {
    path: file.path,
    fileBytes: file.fileBytes,
    name: text("general.name"),
    architecture,
    parameterCount: tensors.reduce((sum, { parameters }) => sum + parameters, 0),
    shape,
    contextTokens: number("context_length"),
    rope: { base: number("rope.freq_base"), scaling: text(`${architecture}.rope.scaling.type`) },
    tokenizer: {
      kind: text("tokenizer.ggml.model"),
      preTokenizer: text("tokenizer.ggml.pre"),
      tokens: Array.isArray(vocabulary) ? vocabulary.length : 0,
      chatTemplate: text("tokenizer.chat_template") !== undefined,
    },
    tensors,
    memory: { weightBytes: weightBytes(file), kvBytesPerToken: kvBytesPerToken(shape) },
  };
}

function asString(value: MetadataValue | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function asNumber(value: MetadataValue | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}
