import { bufferMemory } from "./buffer-memory.js";
import { kvMemory, type KvGroupMemory } from "./kv-memory.js";
import { type MemorySuggestion, suggestSavings } from "./memory-suggestions.js";
import type { MemorySettings, PlannedModel } from "./planned-model.js";
import { type WeightMemory, weightMemory } from "./weight-memory.js";

/** A model to be planned for. */
export interface PlannedLoad {
  readonly model: PlannedModel;
  /** Its packed weights are mapped from a pack cache: the system can drop them, and read them again. */
  readonly weightsAreMapped?: boolean;
}

/** What is to be planned. */
export interface MemoryPlanInput extends PlannedLoad {
  readonly settings: MemorySettings;
  /** A draft model beside it, with the same window, in batches of its own. */
  readonly draft?: PlannedLoad & { readonly maxBatchTokens: number };
  /** Memory that the process may take. */
  readonly availableBytes: number;
}

/** Where the memory of one model goes. */
export interface ModelMemoryPlan {
  /** Packed matrices, norms and biases. */
  readonly weightBytes: number;
  /** Of weightBytes, mapped from a pack cache. */
  readonly mappedWeightBytes: number;
  /** The token embedding in the model file, once all of its rows have been read; the system can drop it. */
  readonly embeddingBytes: number;
  /** Of one token in every head that keeps it. */
  readonly kvBytesPerToken: number;
  /** Pages of all head groups. */
  readonly kvBytes: number;
  readonly kvGroups: readonly KvGroupMemory[];
  /** Activations, logits and thread stacks. */
  readonly bufferBytes: number;
}

/** What a model will take once its context is full; all sizes in bytes. */
export interface MemoryPlan extends ModelMemoryPlan {
  /** Tokens of context that are planned for. */
  readonly contextTokens: number;
  /** The same of the draft model, where there is one. */
  readonly draft?: ModelMemoryPlan;
  /** Node itself with its heap, and the tokenizer. */
  readonly processBytes: number;
  /** Resident memory of the process to be expected: everything above, of both models. */
  readonly totalBytes: number;
  /** 20% of what the system cannot drop. */
  readonly headroomBytes: number;
  /** Has to be available: totalBytes less what the system can drop, with the headroom. */
  readonly neededBytes: number;
  readonly availableBytes: number;
  /** neededBytes <= availableBytes. */
  readonly fits: boolean;
  /** The largest context that fits, up to 2^24; 0 when none does. The model may be trained for less. */
  readonly maxContext: number;
  /** What to change where it does not fit: what suffices alone first. Empty where it fits. */
  readonly suggestions: readonly MemorySuggestion[];
}

/** Resident memory of Node 20 with air-runtime on Linux x64, its heap as loading leaves it: measured, as below. */
const nodeBytes = 75 * 2 ** 20;
/** Header and byte-level BPE tokenizer, per token of the vocabulary, the heap not yet compacted. */
const tokenizerBytesPerToken = 1024;

/** Share of what is planned that is kept free beside it. */
const headroom = 0.2;

const maxContextTokens = 2 ** 24;

/** Rows of logits that a decoding text wants: its last token and the guesses after it (maxDraftTokens). */
const logitRowsPerSequence = 9;

/** Node, and the tokenizers of the models. */
export function processMemory(models: readonly PlannedModel[]): number {
  return nodeBytes + models.reduce((sum, { vocabSize }) => sum + vocabSize * tokenizerBytesPerToken, 0);
}

/** Weights of the target and of the draft model, which few settings change. */
interface PlannedWeights {
  readonly target: WeightMemory;
  readonly draft: WeightMemory | undefined;
}

function planWeights({ model, settings, draft }: Omit<MemoryPlanInput, "availableBytes">): PlannedWeights {
  return { target: weightMemory(model, settings.heads), draft: draft && weightMemory(draft.model) };
}

/** What one model takes, without the process. */
function planModel(
  { model, weightsAreMapped = false }: PlannedLoad,
  { packedBytes, vectorBytes, embeddingBytes }: WeightMemory,
  settings: MemorySettings,
): ModelMemoryPlan {
  const { contextTokens, sequences, maxBatchTokens, threads, window, heads } = settings;
  const kvTokens = settings.kvTokens ?? sequences * contextTokens;
  const batchTokens = Math.min(maxBatchTokens, kvTokens);
  const kvGroups = kvMemory(model, {
    ...settings,
    headMask: heads?.headMask,
    streamWindow: heads?.streamWindow,
  });
  const pageBytes = kvGroups.reduce((sum, group) => sum + group.pageBytes, 0);
  return {
    weightBytes: packedBytes + vectorBytes,
    mappedWeightBytes: weightsAreMapped ? packedBytes : 0,
    embeddingBytes,
    kvBytesPerToken: pageBytes / settings.pageTokens,
    kvBytes: kvGroups.reduce((sum, { bytes }) => sum + bytes, 0),
    kvGroups,
    bufferBytes: bufferMemory(model, {
      maxBatchTokens,
      batchTokens,
      logitRows: Math.min(batchTokens, sequences * logitRowsPerSequence),
      threads,
      headGroups: kvGroups.length,
      hasSinks: [window, heads?.streamWindow].some((limits) => (limits?.sinkTokens ?? 0) > 0),
      quantizesQueries: settings.keyType !== "f16",
    }),
  };
}

/** The sizes of a plan, whatever is available. */
export type MemoryDemand = Omit<MemoryPlan, "availableBytes" | "fits" | "maxContext" | "suggestions">;

/**
 * What both models and the process take together.
 *
 * @param weights - of the same models with the same pruning
 */
export function memoryDemand(
  input: Omit<MemoryPlanInput, "availableBytes">,
  weights: PlannedWeights = planWeights(input),
): MemoryDemand {
  const { settings, draft } = input;
  const target = planModel(input, weights.target, settings);
  const plain = { ...settings, heads: undefined };
  const drafts =
    draft &&
    weights.draft &&
    planModel(draft, weights.draft, { ...plain, maxBatchTokens: draft.maxBatchTokens });
  const models = [target, ...(drafts === undefined ? [] : [drafts])];
  const sum = (bytes: (model: ModelMemoryPlan) => number): number =>
    models.reduce((total, model) => total + bytes(model), 0);
  const processBytes = processMemory([input.model, ...(draft === undefined ? [] : [draft.model])]);
  const modelBytes = sum((m) => m.weightBytes + m.embeddingBytes + m.kvBytes + m.bufferBytes);
  const totalBytes = processBytes + modelBytes;
  const firmBytes = totalBytes - sum((m) => m.mappedWeightBytes + m.embeddingBytes);
  const headroomBytes = Math.ceil(firmBytes * headroom);
  return {
    ...target,
    ...(drafts && { draft: drafts }),
    contextTokens: settings.contextTokens,
    processBytes,
    totalBytes,
    headroomBytes,
    neededBytes: firmBytes + headroomBytes,
  };
}

/** The largest context whose demand fits; 0 when none does. */
function largestContext(
  { settings, availableBytes }: MemoryPlanInput,
  needed: (settings: MemorySettings) => number,
): number {
  const fits = (contextTokens: number): boolean =>
    needed({ ...settings, kvTokens: undefined, contextTokens }) <= availableBytes;
  let [low, high] = [0, maxContextTokens]; // low fits, or is 0
  if (fits(high)) return high;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/**
 * Plans the memory of a model from its header: nothing is loaded.
 *
 * What the system can drop and read again from a file (embedding rows, weights mapped from a pack cache) is in
 * totalBytes and not in neededBytes. A model whose mapped weights do not stay in memory runs at the speed of the disk.
 *
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT for a tensor of a type that cannot be packed
 */
export function planMemory(input: MemoryPlanInput): MemoryPlan {
  const weights = planWeights(input);
  const needed = (settings: MemorySettings): number =>
    memoryDemand({ ...input, settings }, weights).neededBytes;
  const demand = memoryDemand(input, weights);
  const { availableBytes } = input;
  const fits = demand.neededBytes <= availableBytes;
  const maxContext = largestContext(input, needed);
  const suggestions = fits
    ? []
    : suggestSavings({ ...input, neededBytes: demand.neededBytes, maxContext, needed });
  return { ...demand, availableBytes, fits, maxContext, suggestions };
}
