import { open } from "node:fs/promises";

import { AirError, ioError } from "../errors/air-error.js";
import type { DecoderSpec, NativeTensor, NativeTensorDirectory, TensorType } from "../native/native.js";
import type { FileTensor, ModelFile } from "./gguf.js";
import { readHyperparameters, type Hyperparameters } from "./hyperparameters.js";
import { getString } from "./metadata.js";
import { formatError, unsupported } from "./model-errors.js";
import { ropeAngles, type RopeParameters } from "./rope-scaling.js";
import { isSupportedTensorType, supportedTensorTypes } from "./tensor-types.js";

/** A model as the runtime sees it: what to compute, and where its weights lie. */
export interface ModelDescription {
  /** The file's `general.architecture`. */
  readonly architecture: string;
  /** The file's `general.name`; empty when it has none. */
  readonly name: string;
  readonly parameterCount: number;
  /** Tokens of context that the model was trained for. */
  readonly trainedContext: number;
  readonly spec: DecoderSpec;
  readonly directory: NativeTensorDirectory;
}

/** The part of a role after `layers.N.`. */
export type LayerRole =
  | "attention_norm.weight"
  | `attention.${"q" | "k" | "v" | "o"}.${"weight" | "bias"}`
  | "feed_forward_norm.weight"
  | `feed_forward.${"gate" | "up" | "down"}.${"weight" | "bias"}`;

/** Canonical names of tensors, the same for every file format and model family. */
export type TensorRole =
  "token_embedding.weight" | "output_norm.weight" | "output.weight" | `layers.${number}.${LayerRole}`;

/** A tensor that a file of this architecture may hold. */
interface ExpectedTensor {
  readonly role: TensorRole;
  readonly shape: readonly number[];
  readonly required: boolean;
}

/** File name of a llama layer's tensor (after `blk.N.`) and its role. */
const layerTensors: readonly (readonly [string, LayerRole])[] = [
  ["attn_norm.weight", "attention_norm.weight"],
  ["attn_q.weight", "attention.q.weight"],
  ["attn_q.bias", "attention.q.bias"],
  ["attn_k.weight", "attention.k.weight"],
  ["attn_k.bias", "attention.k.bias"],
  ["attn_v.weight", "attention.v.weight"],
  ["attn_v.bias", "attention.v.bias"],
  ["attn_output.weight", "attention.o.weight"],
  ["attn_output.bias", "attention.o.bias"],
  ["ffn_norm.weight", "feed_forward_norm.weight"],
  ["ffn_gate.weight", "feed_forward.gate.weight"],
  ["ffn_gate.bias", "feed_forward.gate.bias"],
  ["ffn_up.weight", "feed_forward.up.weight"],
  ["ffn_up.bias", "feed_forward.up.bias"],
  ["ffn_down.weight", "feed_forward.down.weight"],
  ["ffn_down.bias", "feed_forward.down.bias"],
];

const ropeFactorsName = "rope_freqs.weight";
/** Vectors are read element by element, so block types make no sense for them. */
const vectorTypes: readonly TensorType[] = ["F32", "F16", "BF16"];
/** Tensors under these prefixes take part in the text decoder; others (a vision tower, say) do not. */
const decoderPrefixes: readonly string[] = ["blk.", "output", "token_", "rope_"];

/**
 * Maps a model file to what native code needs: hyperparameters as a DecoderSpec and tensors by canonical role.
 * Every tensor's shape is checked against the hyperparameters. Reads `rope_freqs.weight` where the file has it.
 *
 * @throws {AirError} AIR_ERR_UNSUPPORTED for another architecture than llama, a tensor type the runtime does not
 * compute with, or a tensor that would change the computation; AIR_ERR_MODEL_FORMAT for missing tensors and for shapes
 * that contradict the metadata; AIR_ERR_IO when the file cannot be read.
 */
export async function describeModel(file: ModelFile): Promise<ModelDescription> {
  const architecture = getString(file.metadata, "general.architecture");
  if (architecture !== "llama") throw unsupported("the model architecture", "llama", architecture);
  const hyperparameters = readHyperparameters(file.metadata, architecture);
  const expected = expectedTensors(hyperparameters);
  const byName = new Map(file.tensors.map((tensor) => [tensor.name, tensor]));
  refuseUnknownTensors(file.tensors, expected);

  const tensors: NativeTensor[] = [];
  for (const [name, { role, shape, required }] of expected) {
    const tensor = byName.get(name);
    if (tensor !== undefined) {
      tensors.push(toNativeTensor(tensor, role, shape));
    } else if (required) {
      throw formatError(`tensor ${name}`, `a tensor of shape [${shape.join(", ")}]`, undefined);
    }
  }
  const frequencyFactors = await readFrequencyFactors(file, byName.get(ropeFactorsName), hyperparameters);
  return {
    architecture,
    name: getString(file.metadata, "general.name", ""),
    parameterCount: tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    trainedContext: hyperparameters.trainedContext,
    spec: toSpec(hyperparameters, frequencyFactors, !byName.has("output.weight")),
    directory: { files: [file.path], tensors },
  };
}

function expectedTensors(h: Hyperparameters): ReadonlyMap<string, ExpectedTensor> {
  const embedding = [h.vocabSize, h.embeddingLength];
  const tensors = new Map<string, ExpectedTensor>([
    ["token_embd.weight", { role: "token_embedding.weight", shape: embedding, required: true }],
    ["output_norm.weight", { role: "output_norm.weight", shape: [h.embeddingLength], required: true }],
    ["output.weight", { role: "output.weight", shape: embedding, required: false }],
  ]);
  for (let layer = 0; layer < h.layers; layer++) {
    for (const [name, role] of layerTensors) {
      tensors.set(`blk.${String(layer)}.${name}`, {
        role: `layers.${layer}.${role}`,
        shape: layerShape(role, h),
        required: !role.endsWith(".bias"),
      });
    }
  }
  return tensors;
}

/** [rows, cols] of a layer's matrix, [length] of its norm or bias. */
function layerShape(role: LayerRole, h: Hyperparameters): readonly number[] {
  if (role === "attention_norm.weight" || role === "feed_forward_norm.weight") return [h.embeddingLength];
  const queryLength = h.queryHeads * h.headDim;
  const kvLength = h.kvHeads * h.headDim;
  const matrices: Readonly<Record<string, readonly [number, number]>> = {
    "attention.q": [queryLength, h.embeddingLength],
    "attention.k": [kvLength, h.embeddingLength],
    "attention.v": [kvLength, h.embeddingLength],
    "attention.o": [h.embeddingLength, queryLength],
    "feed_forward.gate": [h.feedForwardLength, h.embeddingLength],
    "feed_forward.up": [h.feedForwardLength, h.embeddingLength],
    "feed_forward.down": [h.embeddingLength, h.feedForwardLength],
  };
  const [rows = 0, cols = 0] = matrices[role.slice(0, role.lastIndexOf("."))] ?? [];
  return role.endsWith(".bias") ? [rows] : [rows, cols];
}

function refuseUnknownTensors(
  tensors: readonly FileTensor[],
  expected: ReadonlyMap<string, ExpectedTensor>,
): void {
  for (const { name } of tensors) {
    if (expected.has(name) || name === ropeFactorsName) continue;
    if (decoderPrefixes.some((prefix) => name.startsWith(prefix))) {
      throw unsupported("the tensors of a llama model", "only those that the architecture uses", name);
    }
  }
}

function toNativeTensor(tensor: FileTensor, role: TensorRole, shape: readonly number[]): NativeTensor {
  const { name, type, offsetBytes, lengthBytes } = tensor;
  if (tensor.shape.length !== shape.length || tensor.shape.some((length, i) => length !== shape[i])) {
    const expected = `[${shape.join(", ")}] from the metadata`;
    throw formatError(`shape of tensor ${name}`, expected, `[${tensor.shape.join(", ")}]`);
  }
  if (!isSupportedTensorType(type)) {
    throw unsupported(`type of tensor ${name}`, `one of ${supportedTensorTypes.join(", ")}`, type);
  }
  if (shape.length === 1 && !vectorTypes.includes(type)) {
    throw unsupported(`type of vector ${name}`, `one of ${vectorTypes.join(", ")}`, type);
  }
  return { role, type, shape, file: 0, offsetBytes, lengthBytes };
}

/** The divisors of RoPE angles that converters of Llama 3.1 and later write into the file, as float32. */
async function readFrequencyFactors(
  file: ModelFile,
  tensor: FileTensor | undefined,
  { rope }: Hyperparameters,
): Promise<readonly number[] | undefined> {
  if (tensor === undefined) return undefined;
  const length = rope.dimensions / 2;
  if (tensor.type !== "F32" || tensor.shape.length !== 1 || tensor.shape[0] !== length) {
    const received = `${tensor.type} [${tensor.shape.join(", ")}]`;
    throw formatError(`tensor ${ropeFactorsName}`, `F32 [${String(length)}]`, received);
  }
  const bytes = await readBytes(file.path, tensor.offsetBytes, tensor.lengthBytes);
  const factors = Array.from({ length }, (_, i) => bytes.readFloatLE(i * 4));
  const wrong = factors.find((factor) => !Number.isFinite(factor) || factor <= 0);
  if (wrong !== undefined) throw formatError(`tensor ${ropeFactorsName}`, "positive numbers", wrong);
  return factors;
}

async function readBytes(path: string, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  try {
    await using handle = await open(path, "r");
    const { bytesRead } = await handle.read(bytes, 0, length, offset);
    if (bytesRead === length) return bytes;
  } catch (error) {
    throw ioError(path, "a readable file", error);
  }
  throw new AirError("AIR_ERR_IO", `expected ${String(length)} bytes for ${path} but received fewer`);
}

function toSpec(
  h: Hyperparameters,
  frequencyFactors: readonly number[] | undefined,
  tiedOutput: boolean,
): DecoderSpec {
  const angles = ropeAngles(frequencyFactors === undefined ? h.rope : withFactors(h.rope, frequencyFactors));
  return {
    layers: h.layers,
    embeddingLength: h.embeddingLength,
    queryHeads: h.queryHeads,
    kvHeads: h.kvHeads,
    headDim: h.headDim,
    feedForwardLength: h.feedForwardLength,
    vocabSize: h.vocabSize,
    normKind: "rms",
    normEpsilon: h.normEpsilon,
    activation: "silu",
    // GGUF converters permute llama's q and k rows from halves to adjacent pairs.
    rope: { pairing: "interleaved", dimensions: h.rope.dimensions, ...angles },
    tiedOutput,
  };
}

/** Factors of the file replace the llama3 formula, which they are the result of; the other kinds apply on top. */
function withFactors(rope: Hyperparameters["rope"], frequencyFactors: readonly number[]): RopeParameters {
  return {
    ...rope,
    frequencyFactors,
    scaling: rope.scaling.kind === "llama3" ? { kind: "none" } : rope.scaling,
  };
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}
