import { type PlannedModel, roundUp } from "./planned-model.js";

const floatBytes = 4;
const arrayAlignment = 64;
const groupDims = 32;
const pageBytes = 4096;
/** Large buffers are backed by pages of this size as soon as any byte in one is written (aligned_buffer.cc). */
const hugePageBytes = 2 * 2 ** 20;
const hugeThresholdBytes = 8 * 2 ** 20;

/** What the buffers of a runner have to hold. */
export interface BufferDemand {
  /** Most tokens of one step, which memory is reserved for. */
  readonly maxBatchTokens: number;
  /** Most tokens of a step that there are. */
  readonly batchTokens: number;
  /** Rows of logits that are wanted at a time. */
  readonly logitRows: number;
  readonly threads: number;
  readonly headGroups: number;
  /** Sinks are scored with queries of their own. */
  readonly hasSinks: boolean;
  /** Integer keys are multiplied with integer queries. */
  readonly quantizesQueries: boolean;
}

/** One array of the workspace, or a part that is written for itself. */
interface Section {
  readonly reservedBytes: number;
  readonly writtenBytes: number;
}

/** The arrays of native/core/workspace.cc, in its order. */
function workspaceSections(model: PlannedModel, demand: BufferDemand): readonly Section[] {
  const { embeddingLength, queryHeads, kvHeads, headDim, feedForwardLength, rope } = model;
  const { maxBatchTokens, batchTokens, headGroups, hasSinks, quantizesQueries } = demand;
  const section = (bytesPerToken: number, isWritten = true): Section => ({
    reservedBytes: roundUp(maxBatchTokens * bytesPerToken, arrayAlignment),
    writtenBytes: isWritten ? batchTokens * bytesPerToken : 0,
  });
  const floats = (perToken: number, isWritten = true): Section => section(perToken * floatBytes, isWritten);
  // Rows of float32 with their int8 form: values, int8, a scale per 32 and a sum per 16.
  const rows = (perToken: number, cols: number, isWritten = true, isQuantized = true): readonly Section[] => [
    floats(perToken * cols, isWritten),
    section(perToken * cols, isWritten && isQuantized),
    floats(perToken * Math.floor(cols / 32), isWritten && isQuantized),
    floats(perToken * Math.floor(cols / 16), isWritten && isQuantized),
  ];
  const queries = (isWritten: boolean): readonly Section[] =>
    rows(queryHeads, roundUp(headDim, groupDims), isWritten, quantizesQueries);
  const angles = Array.from({ length: 1 + headGroups }, (_, table) =>
    floats(rope.dimensions / 2, table === 0 || hasSinks),
  );
  return [
    floats(embeddingLength), // residual
    ...rows(1, embeddingLength), // normed
    floats(queryHeads * headDim), // q
    floats(kvHeads * headDim), // k
    floats(kvHeads * headDim), // v
    ...queries(true), // rotated
    ...queries(hasSinks), // rotated_sink
    ...angles, // cosines
    ...angles, // sines
    ...rows(1, queryHeads * headDim), // attended
    floats(feedForwardLength), // gate
    floats(feedForwardLength), // up
    ...rows(1, feedForwardLength), // hidden
  ];
}

/**
 * Resident bytes of a runner's activations. What is reserved and never written costs nothing, but for the rest of the
 * pages that are: short contexts do not fill a batch, and without sinks their queries are not computed.
 */
export function activationBytes(model: PlannedModel, demand: BufferDemand): number {
  const sections = workspaceSections(model, demand);
  const reserved = sections.reduce((sum, { reservedBytes }) => sum + reservedBytes, 0);
  const granule = reserved >= hugeThresholdBytes ? hugePageBytes : pageBytes;
  let resident = 0;
  let at = 0;
  let backed = 0; // all below is resident or will never be
  for (const { reservedBytes, writtenBytes } of sections) {
    const begin = Math.max(Math.floor(at / granule) * granule, backed);
    const end = Math.min(roundUp(at + writtenBytes, granule), roundUp(reserved, pageBytes));
    if (writtenBytes > 0 && end > begin) {
      resident += end - begin;
      backed = end;
    }
    at += reservedBytes;
  }
  return resident;
}

/** Stack of a compute thread: the activations that a matrix product regroups, 264 KiB at most, and its frames. */
const threadStackBytes = 384 * 1024;

/** Activations, logits and the threads' own memory. */
export function bufferMemory(model: PlannedModel, demand: BufferDemand): number {
  const logits = demand.logitRows * model.vocabSize * floatBytes;
  return activationBytes(model, demand) + logits + demand.threads * threadStackBytes;
}
