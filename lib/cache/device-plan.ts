import { kvMemory } from "./kv-memory.js";
import {
  type MemorySettings,
  type PlannedHeads,
  type PlannedModel,
  type PlannedTensor,
  roundUp,
} from "./planned-model.js";
import { weightMemory } from "./weight-memory.js";

/** What is to be placed on a device with memory of its own. */
export interface DevicePlanInput {
  readonly model: PlannedModel;
  readonly settings: MemorySettings;
  /** A draft model, which goes there as a whole. */
  readonly draft?: { readonly model: PlannedModel; readonly maxBatchTokens: number };
  /** Layers from the end that go there, or as many as fit. */
  readonly layers: number | "auto";
  /** Memory that may be taken there. */
  readonly availableBytes: number;
}

/** How much of a model goes to a device. */
export interface DevicePlan {
  /** Layers from the end; the others stay on the host. 0: nothing goes there. */
  readonly layers: number;
  /** Bytes that they and the draft model take there. */
  readonly neededBytes: number;
  readonly availableBytes: number;
  readonly fits: boolean;
}

/** Kernels, recorded steps, and what small arrays are rounded up to. */
const reservedBytes = 64 * 2 ** 20;
/** Kept free beside what is planned: weights take a little more in the device's order than in the host's. */
const headroom = 0.05;

/** Steps are computed in multiples of this many tokens, and at least twice as many have room. */
const tokenMultiple = 8;
/** Rows whose logits are computed at a time (native/cuda/activations.cc). */
const logitRows = 64;
const floatBytes = 4;
const halfBytes = 2;

/** The layer that a tensor's role names; undefined for what belongs to no layer. */
function layerOf({ role }: PlannedTensor): number | undefined {
  const layer = /^layers\.(\d+)\./.exec(role)?.[1];
  return layer === undefined ? undefined : Number(layer);
}

/** Rows [first, end) of per-layer flags. */
function sliceLayers(
  flags: Uint8Array | undefined,
  model: PlannedModel,
  first: number,
  end: number,
): Uint8Array | undefined {
  const perLayer = (flags?.length ?? 0) / model.layers;
  return flags?.subarray(first * perLayer, end * perLayer);
}

/** What heads keep in layers [first, end). */
function sliceHeads(
  heads: PlannedHeads | undefined,
  model: PlannedModel,
  first: number,
  end: number,
): PlannedHeads | undefined {
  if (heads === undefined) return undefined;
  const [headMask, queryHeads, channelGroups] = [heads.headMask, heads.queryHeads, heads.channelGroups].map(
    (flags) => sliceLayers(flags, model, first, end),
  );
  return {
    ...heads,
    ...(headMask && { headMask }),
    ...(queryHeads && { queryHeads }),
    ...(channelGroups && { channelGroups }),
  };
}

/** The first layers of a model, with what the host needs to compute them: no output. */
export function beginningOf(
  model: PlannedModel,
  heads: PlannedHeads | undefined,
  layers: number,
): { readonly model: PlannedModel; readonly heads: PlannedHeads | undefined } {
  const tensors = model.tensors.filter((tensor) => {
    const layer = layerOf(tensor);
    return layer === undefined ? tensor.role === "token_embedding.weight" : layer < layers;
  });
  return {
    model: { ...model, layers, tensors, tiedOutput: false },
    heads: sliceHeads(heads, model, 0, layers),
  };
}

/** Bytes of the activations on a device; native/cuda/activations.cc lays them out. */
function activationBytes(model: PlannedModel, maxBatchTokens: number): number {
  const { embeddingLength, queryHeads, kvHeads, headDim, feedForwardLength, vocabSize } = model;
  const tokens = Math.max(roundUp(maxBatchTokens, tokenMultiple), 2 * tokenMultiple);
  const queryWidth = queryHeads * roundUp(headDim, 32);
  const projected = (queryHeads + 2 * kvHeads) * headDim;
  const floats = 2 * embeddingLength + projected + 2 * feedForwardLength;
  const halves = embeddingLength + 2 * queryWidth + queryHeads * headDim + feedForwardLength;
  return (
    tokens * (floats * floatBytes + halves * halfBytes) + Math.min(tokens, logitRows) * vocabSize * floatBytes
  );
}

/** Bytes that the last `layers` layers, the output and their pages take on a device. */
export function deviceMemory(model: PlannedModel, settings: MemorySettings, layers: number): number {
  if (layers === 0) return 0;
  const first = model.layers - layers;
  const tensors = model.tensors.filter((tensor) => (layerOf(tensor) ?? model.layers) >= first);
  const weights = weightMemory({ ...model, tensors }, settings.heads);
  const heads = sliceHeads(settings.heads, model, first, model.layers);
  const pages = kvMemory(
    { ...model, layers },
    { ...settings, headMask: heads?.headMask, streamWindow: heads?.streamWindow },
  );
  return (
    weights.packedBytes +
    weights.vectorBytes +
    (first === 0 ? weights.embeddingBytes : 0) +
    pages.reduce((sum, { bytes }) => sum + bytes, 0) +
    activationBytes(model, settings.maxBatchTokens)
  );
}

/** Plans what goes to a device with memory of its own: as many layers from the end as asked, or as fit. */
export function planDevice({ model, settings, draft, layers, availableBytes }: DevicePlanInput): DevicePlan {
  const draftBytes =
    draft === undefined
      ? 0
      : deviceMemory(
          draft.model,
          { ...settings, heads: undefined, maxBatchTokens: draft.maxBatchTokens },
          draft.model.layers,
        );
  const needed = (count: number): number =>
    count === 0
      ? 0
      : Math.ceil((draftBytes + deviceMemory(model, settings, count)) * (1 + headroom)) + reservedBytes;
  const most = layers === "auto" ? model.layers : Math.min(layers, model.layers);
  let count = most;
  while (layers === "auto" && count > 0 && needed(count) > availableBytes) count -= 1;
  const neededBytes = needed(count);
  return { layers: count, neededBytes, availableBytes, fits: neededBytes <= availableBytes };
}
