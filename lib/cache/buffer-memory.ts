import { type PlannedModel, roundUp } from "./planned-model.js";

const floatBytes = 4;
const arrayAlignment = 64;
const groupDims = 32;

/** What the buffers of a runner have to hold. */
export interface BufferDemand {
  /** Most tokens of one step. */
  readonly batchTokens: number;
  /** Rows of logits that are wanted at a time. */
  readonly logitRows: number;
  readonly threads: number;
  readonly headGroups: number;
  /** Sinks are scored with queries of their own. */
  readonly hasSinks: boolean;
}

/**
 * Activations of a step that memory is touched for. The native side reserves more, for sinks whether there are any or
 * not and for more tokens than come, but what is never written costs address space only.
 */
export function activationBytes(
  model: PlannedModel,
  { batchTokens, headGroups, hasSinks }: BufferDemand,
): number {
  const { embeddingLength, queryHeads, kvHeads, headDim, feedForwardLength, rope } = model;
  const floats = (count: number): number => roundUp(count * floatBytes, arrayAlignment);
  // Rows of float32 with their int8 form: values, int8, a scale per 32 and a sum per 16.
  const rows = (count: number, cols: number): number =>
    floats(count * cols) +
    roundUp(count * cols, arrayAlignment) +
    floats(count * Math.floor(cols / 32)) +
    floats(count * Math.floor(cols / 16));
  const queries = rows(batchTokens * queryHeads, roundUp(headDim, groupDims));
  const angles = floats((hasSinks ? 1 + headGroups : 1) * batchTokens * (rope.dimensions / 2));
  return (
    floats(batchTokens * embeddingLength) + // residual
    rows(batchTokens, embeddingLength) + // normed
    floats(batchTokens * queryHeads * headDim) + // q
    2 * floats(batchTokens * kvHeads * headDim) + // k, v
    (hasSinks ? 2 : 1) * queries + // rotated
    2 * angles + // cosines, sines
    rows(batchTokens, queryHeads * headDim) + // attended
    2 * floats(batchTokens * feedForwardLength) + // gate, up
    rows(batchTokens, feedForwardLength) // hidden
  );
}

/** Stack of a compute thread: the activations that a matrix product regroups, 264 KiB at most, and its frames. */
const threadStackBytes = 384 * 1024;

/** Activations, logits and the threads' own memory. */
export function bufferMemory(model: PlannedModel, demand: BufferDemand): number {
  const logits = demand.logitRows * model.vocabSize * floatBytes;
  return activationBytes(model, demand) + logits + demand.threads * threadStackBytes;
}
