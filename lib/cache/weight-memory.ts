import { invalidArgument } from "../errors/air-error.js";
import { type PlannedHeads, type PlannedModel, type PlannedTensor, roundUp } from "./planned-model.js";

/** How a file type is packed; native/core/weights/plan.cc decides the same. */
interface PackedForm {
  readonly bits: number;
  /** Weights per float16 scale; 0 for float classes. */
  readonly scaleGroup: number;
  readonly hasMin: boolean;
}

const packedForms: Readonly<Record<string, PackedForm>> = {
  Q4_0: { bits: 4, scaleGroup: 32, hasMin: false },
  Q4_1: { bits: 4, scaleGroup: 32, hasMin: true },
  Q4_K: { bits: 4, scaleGroup: 32, hasMin: true },
  Q8_0: { bits: 8, scaleGroup: 32, hasMin: false },
  Q5_0: { bits: 8, scaleGroup: 32, hasMin: false },
  Q5_1: { bits: 8, scaleGroup: 32, hasMin: true },
  Q5_K: { bits: 8, scaleGroup: 32, hasMin: true },
  Q6_K: { bits: 8, scaleGroup: 16, hasMin: false },
  F16: { bits: 16, scaleGroup: 0, hasMin: false },
  // float32 where a value does not fit float16, which a header does not tell and trained weights do not have
  BF16: { bits: 16, scaleGroup: 0, hasMin: false },
  F32: { bits: 32, scaleGroup: 0, hasMin: false },
};

const tileRows = 16;
const minGroup = 32;
const sectionBytes = 64;
const matrixBytes = 4096;
const channelGroup = 32;

/**
 * Bytes of one matrix in packed memory, padding included.
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT for a type that is not packed
 */
export function packedMatrixBytes(type: string, rows: number, cols: number): number {
  const form = packedForms[type];
  if (form === undefined) throw invalidArgument("a tensor's type", "one that can be packed", type);
  const scales = form.scaleGroup === 0 ? 0 : Math.floor(cols / form.scaleGroup) * tileRows;
  const mins = form.hasMin ? Math.floor(cols / minGroup) * tileRows : 0;
  const values = (cols * tileRows * form.bits) / 8;
  const tile = roundUp(
    roundUp(2 * scales, sectionBytes) + roundUp(2 * mins, sectionBytes) + values,
    sectionBytes,
  );
  return roundUp(Math.ceil(rows / tileRows) * tile, matrixBytes);
}

/** What the weights of a model take in memory. */
export interface WeightMemory {
  /** Packed matrices, the output among them. */
  readonly packedBytes: number;
  /** Norms and biases in float32. */
  readonly vectorBytes: number;
  /** The token embedding, whose rows are read from the mapped file. */
  readonly embeddingBytes: number;
}

/** Query heads, KV heads and feed-forward channels that a layer keeps. */
interface KeptLayer {
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly channels: number;
}

function keptLayer(model: PlannedModel, heads: PlannedHeads, layer: number): KeptLayer {
  const { queryHeads, kvHeads, feedForwardLength } = model;
  const perGroup = queryHeads / kvHeads;
  const isKept = (head: number) => heads.queryHeads?.[layer * queryHeads + head] !== 0;
  const keptHeads = Array.from({ length: queryHeads }, (_, head) => head).filter(isKept);
  const groups = Math.ceil(feedForwardLength / channelGroup);
  let channels = 0;
  for (let group = 0; group < groups; group += 1) {
    if (heads.channelGroups?.[layer * groups + group] === 0) continue;
    channels += Math.min(channelGroup, feedForwardLength - group * channelGroup);
  }
  return {
    queryHeads: keptHeads.length,
    kvHeads: new Set(keptHeads.map((head) => Math.floor(head / perGroup))).size,
    channels,
  };
}

/** The shape that is left of a layer's tensor: [rows, cols] or [length]. */
function keptShape(
  role: string,
  shape: readonly number[],
  kept: KeptLayer,
  headDim: number,
): readonly number[] {
  const [rows = 0, cols] = shape;
  const resized = (keptRows: number, keptCols = cols) =>
    keptCols === undefined ? [keptRows] : [keptRows, keptCols];
  switch (role) {
    case "attention.q":
      return resized(kept.queryHeads * headDim);
    case "attention.k":
    case "attention.v":
      return resized(kept.kvHeads * headDim);
    case "attention.o":
      return cols === undefined ? shape : resized(rows, kept.queryHeads * headDim);
    case "feed_forward.gate":
    case "feed_forward.up":
      return resized(kept.channels);
    case "feed_forward.down":
      return cols === undefined ? shape : resized(rows, kept.channels);
    default:
      return shape;
  }
}

/** Packed and float32 bytes of a model, as the native side will report them. */
export function weightMemory(model: PlannedModel, heads: PlannedHeads = {}): WeightMemory {
  const layers = Array.from({ length: model.layers }, (_, layer) => keptLayer(model, heads, layer));
  let packedBytes = 0;
  let vectorBytes = 0;
  let embeddingBytes = 0;
  const place = ({ role, type, shape: whole }: PlannedTensor): void => {
    const [, layer, name = ""] = /^layers\.(\d+)\.(.+)\.(?:weight|bias)$/.exec(role) ?? [];
    const kept = layer === undefined ? undefined : layers[Number(layer)];
    const shape = kept === undefined ? whole : keptShape(name, whole, kept, model.headDim);
    const [rows = 0, cols] = shape;
    if (cols === undefined) vectorBytes += 4 * rows;
    else packedBytes += packedMatrixBytes(type, rows, cols);
  };
  for (const tensor of model.tensors) {
    const isEmbedding = tensor.role === "token_embedding.weight";
    if (isEmbedding) embeddingBytes = tensor.lengthBytes;
    if (!isEmbedding || model.tiedOutput) place(tensor);
  }
  return { packedBytes, vectorBytes, embeddingBytes };
}
