import { AirError, invalidArgument } from "../../lib/errors/air-error.js";
import { fileTypes, matrixType, type FileType } from "./file-types.js";
import { metadataNumber, readGguf, type SourceModel, type SourceTensor } from "./gguf-tensors.js";
import { writeGguf, type GgufContent, type MetadataEntry, type TensorToWrite } from "./gguf-writer.js";
import { inflateMatrix, inflateNorm } from "./inflate-tensors.js";
import {
  embeddingLayout,
  layerLayouts,
  outputLayout,
  withoutSource,
  type LayerMatrix,
  type MatrixLayout,
} from "./layout.js";
import { Noise } from "./noise.js";
import { checkInflatable, shapeOf, type ModelShape } from "./shapes.js";

export interface InflateOptions {
  /** Target sizes; default the source's, which only changes the tensor types. */
  readonly shape?: ModelShape;
  readonly type: FileType;
  /**
   * Tokens of the target; default the source's count. Appended tokens repeat existing rows, so their logits tie
   * with lower ids: greedy output is unchanged, sampling and perplexity are not.
   */
  readonly vocab?: number;
  readonly onProgress?: GgufContent["onProgress"];
}

export interface InflateResult {
  readonly shape: ModelShape;
  readonly parameters: number;
}

/**
 * Writes a model of `options.shape` that computes the same function as the small llama-architecture GGUF at
 * `sourcePath`, so that speed and memory of a large model can be measured on text that the small one produces.
 * Equal up to rounding: the norms' and queries' factors are stored in float32 and in the weights' own type.
 * @throws {AirError} AIR_ERR_SHAPE when the source does not fit; AIR_ERR_UNSUPPORTED for tensors it cannot place.
 */
export async function inflateModel(
  sourcePath: string,
  targetPath: string,
  options: InflateOptions,
): Promise<InflateResult> {
  const source = await readGguf(sourcePath);
  const sourceShape = shapeOf(source);
  const shape = options.shape ?? sourceShape;
  checkInflatable(sourceShape, shape);
  const content = {
    metadata: inflatedMetadata(source, sourceShape, shape, options),
    tensors: inflatedTensors(source, sourceShape, shape, options),
    ...(options.onProgress && { onProgress: options.onProgress }),
  };
  await writeGguf(targetPath, content);
  const parameters = content.tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return { shape, parameters };
}

function inflatedTensors(
  source: SourceModel,
  sourceShape: ModelShape,
  shape: ModelShape,
  options: InflateOptions,
): readonly TensorToWrite[] {
  const noise = new Noise();
  const unused = new Map(source.tensors);
  const take = (name: string): SourceTensor | undefined => {
    const tensor = unused.get(name);
    unused.delete(name);
    return tensor;
  };
  const tiedOutput = !source.tensors.has("output.weight");
  const matrix = (name: string, layer: number, layout: MatrixLayout): TensorToWrite => {
    const inLayer = layer >= 0 ? `blk.${String(layer)}.${name}.weight` : `${name}.weight`;
    const tensor = take(inLayer);
    const place = { name, layer, layers: shape.layers, tiedOutput };
    const type = matrixType(options.type, place, layout);
    return inflateMatrix(inLayer, type, tensor === undefined ? withoutSource(layout) : layout, tensor, noise);
  };
  const ratio = sourceShape.width / shape.width;
  const norm = (name: string): TensorToWrite => inflateNorm(name, shape.width, ratio, take(name));

  const tokens = source.tensors.get("token_embd.weight")?.shape[0] ?? 0;
  const vocab = options.vocab ?? tokens;
  if (vocab < tokens) {
    throw invalidArgument("vocab", `at least the source's ${String(tokens)}`, vocab, "AIR_ERR_SHAPE");
  }
  const tensors = [matrix("token_embd", -1, embeddingLayout(sourceShape, shape, tokens, vocab))];
  const layouts = layerLayouts(sourceShape, shape);
  for (let layer = 0; layer < shape.layers; layer++) {
    const inLayer = (name: LayerMatrix): TensorToWrite => matrix(name, layer, layouts[name]);
    tensors.push(
      norm(`blk.${String(layer)}.attn_norm.weight`),
      ...(["attn_q", "attn_k", "attn_v", "attn_output"] as const).map(inLayer),
      norm(`blk.${String(layer)}.ffn_norm.weight`),
      ...(["ffn_gate", "ffn_up", "ffn_down"] as const).map(inLayer),
    );
  }
  tensors.push(norm("output_norm.weight"));
  if (!tiedOutput) tensors.push(matrix("output", -1, outputLayout(sourceShape, shape, tokens, vocab)));
  const leftOver = [...unused.keys()];
  if (leftOver.length > 0) {
    const message = `expected only a plain llama model's tensors for the source but received ${leftOver.join(", ")}`;
    throw new AirError("AIR_ERR_UNSUPPORTED", message);
  }
  return tensors;
}

/** The source's metadata with the sizes, the file type and, where asked, the vocabulary replaced. */
function inflatedMetadata(
  source: SourceModel,
  sourceShape: ModelShape,
  shape: ModelShape,
  options: InflateOptions,
): readonly MetadataEntry[] {
  const epsilonKey = "llama.attention.layer_norm_rms_epsilon";
  const numbers: Readonly<Record<string, number>> = {
    "general.file_type": fileTypes[options.type],
    "llama.embedding_length": shape.width,
    "llama.block_count": shape.layers,
    "llama.feed_forward_length": shape.feedForward,
    "llama.rope.dimension_count": shape.headDim,
    "llama.attention.head_count": shape.queryHeads,
    "llama.attention.head_count_kv": shape.kvHeads,
    "llama.attention.key_length": shape.headDim,
    "llama.attention.value_length": shape.headDim,
    [epsilonKey]: metadataNumber(source, epsilonKey) * (sourceShape.width / shape.width),
  };
  return source.metadata.map((entry) => {
    const replacement = numbers[entry.key];
    if (replacement !== undefined && typeof entry.value === "number") {
      return { ...entry, value: replacement };
    }
    return options.vocab === undefined ? entry : withVocab(entry, options.vocab);
  });
}

/** GGUF's token type for ids that no text uses. */
const unusedTokenType = 5;

function withVocab(entry: MetadataEntry, vocab: number): MetadataEntry {
  if (entry.key === "llama.vocab_size" && entry.type === "uint32") return { ...entry, value: vocab };
  if (entry.type !== "array") return entry;
  const added = Array.from({ length: vocab - entry.value.length }, (_, i) => entry.value.length + i);
  if (entry.key === "tokenizer.ggml.tokens" && entry.itemType === "string") {
    return { ...entry, value: [...entry.value, ...added.map((id) => `<|unused-${String(id)}|>`)] };
  }
  if (entry.key === "tokenizer.ggml.token_type" && entry.itemType === "int32") {
    return { ...entry, value: [...entry.value, ...added.map(() => unusedTokenType)] };
  }
  return entry;
}
