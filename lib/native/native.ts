/**
 * The C++ surface, types only. Flat row-major tensors, shapes in brackets, sizes in elements unless the name
 * says bytes. Nothing about prompts, requests, routing or free lists crosses it.
 */

import type { CudaDevices, LoadedDevice, ModelDevice } from "./devices.js";

export type { CudaDevice, CudaDevices, LoadedDevice, ModelDevice } from "./devices.js";

/** A fixed-length float32 view that cannot be detached while native code writes to it. */
export type SharedFloats = Float32Array<SharedArrayBuffer>;

export type Backend = "cpu" | "cuda";
export type CpuIsa = "reference" | "avx2" | "avxvnni" | "avx512vnni" | "neon" | "neoni8mm";
/** int4 has a scale per 32 dims, int8 one per token and head. */
export type KvType = "int8" | "f16" | "int4";
/** Of compute threads among the machine's other work: nice 10, as the process, nice -10 (takes a privilege). */
export type ThreadPriority = "low" | "normal" | "high";

/** Mirrors native/core/status.h; test/unit/check-sync.test.ts compares the two. */
export type NativeErrorCode =
  | "AIR_ERR_ARGUMENT"
  | "AIR_ERR_SHAPE"
  | "AIR_ERR_PAGE_RANGE"
  | "AIR_ERR_BUSY"
  | "AIR_ERR_CLOSED"
  | "AIR_ERR_CANCELLED"
  | "AIR_ERR_MODEL_FORMAT"
  | "AIR_ERR_UNSUPPORTED"
  | "AIR_ERR_NO_DEVICE"
  | "AIR_ERR_DEVICE"
  | "AIR_ERR_OUT_OF_MEMORY"
  | "AIR_ERR_IO"
  | "AIR_ERR_INTERNAL";

export interface Capabilities {
  /** Version of this surface; lib/native/load.ts refuses another. */
  readonly abiVersion: number;
  /** Compiled in and usable on this CPU and OS, best first. */
  readonly isas: readonly CpuIsa[];
  /** AIR_FORCE_ISA overrides; an unusable value throws AIR_ERR_UNSUPPORTED, never falls back. */
  readonly activeIsa: CpuIsa;
  /** Logical CPUs this process may use (affinity and cgroup quota). */
  readonly cpus: number;
  /** Compute threads unless asked otherwise: one per physical core of the big clusters, within the quota. */
  readonly defaultThreads: number;
}

/** Storage types of tensors in model files, by their GGUF names. */
export type TensorType =
  "F32" | "F16" | "BF16" | "Q8_0" | "Q4_0" | "Q4_1" | "Q5_0" | "Q5_1" | "Q4_K" | "Q5_K" | "Q6_K";

/** One tensor's place in a file. Native maps the file and checks range, type and size again. */
export interface NativeTensor {
  /** Canonical role, such as `layers.0.attention.q.weight`; see TensorRole in lib/model/architecture.ts. */
  readonly role: string;
  readonly type: TensorType;
  /** Row-major: [rows (output), cols (reduction)] for matrices, [length] for vectors. */
  readonly shape: readonly number[];
  /** Index into `files`. */
  readonly file: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export interface NativeTensorDirectory {
  readonly files: readonly string[];
  readonly tensors: readonly NativeTensor[];
}

/**
 * What native/core can compute, as numbers: a new model family maps to this in lib/model/architecture.ts and
 * needs no C++ unless it brings a new op. Unknown values are refused with AIR_ERR_UNSUPPORTED.
 */
export interface DecoderSpec {
  readonly layers: number;
  /** Residual width. */
  readonly embeddingLength: number;
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly feedForwardLength: number;
  readonly vocabSize: number;
  readonly normKind: "rms";
  readonly normEpsilon: number;
  readonly activation: "silu";
  readonly rope: {
    /** `interleaved` rotates (2j, 2j+1), `half` rotates (j, j + dimensions/2). */
    readonly pairing: "interleaved" | "half";
    /** Rotated dims of each head; even, at most headDim. */
    readonly dimensions: number;
    /** [dimensions / 2] radians per position, position scaling already applied. */
    readonly inverseFrequencies: Float64Array;
    /** Multiplies cosines and sines (YaRN); 1 otherwise. */
    readonly attentionFactor: number;
  };
  /** The output matrix is the token embedding. */
  readonly tiedOutput: boolean;
}

/** What packing did to a class of file tensors; errors are against the file's own dequantised values. */
export interface ConversionReport {
  readonly from: TensorType;
  readonly to: "int4" | "int8" | "f16" | "f32";
  readonly tensors: number;
  /** Root mean square of (packed - file) over root mean square of file; 0 means bit-exact. */
  readonly relativeRmsError: number;
  readonly maxAbsError: number;
}

/** What came of a pack cache: see docs/models.md, "Pack cache". */
export interface PackCacheReport {
  /** `hit`: weights were mapped from the file. The others packed them; `written` left a file for the next load. */
  readonly outcome: "hit" | "written" | "unwritten";
  readonly file: string;
  /** Why a file that was there was not used, or why none could be written. */
  readonly reason?: string;
}

interface Handle {
  /** Idempotent; memory goes when the last dependant closes. Later calls throw AIR_ERR_CLOSED. */
  close(): void;
}

/** Immutable weights; arenas and runners keep them alive. */
export interface NativeModel extends Handle {
  readonly backend: Backend;
  /** Undefined on the CPU. */
  readonly device: ModelDevice | undefined;
  /** Bytes of packed weights, in memory or mapped from the pack cache. */
  readonly weightBytes: number;
  /** Bytes read in place from the mapped files (the embedding table). */
  readonly mappedBytes: number;
  readonly conversions: readonly ConversionReport[];
  /** Undefined without a pack cache. */
  readonly packCache: PackCacheReport | undefined;
  /**
   * Sum of squares of each column of a matrix as the file has it, such as `layers.0.attention.o.weight`: [cols]. Reads the
   * whole tensor.
   */
  columnSquares(role: string): Float32Array;
}

/** Page memory. Bytes, not owners: allocation and eviction are lib/cache's. */
export interface NativeKvArena extends Handle {
  readonly pageTokens: number;
  readonly headGroups: readonly { readonly pageCount: number; readonly bytesPerPage: number }[];
  /** Bytes reserved for all pages of all groups. */
  readonly bytes: number;
  /** Copies page src[i] to dst[i], both [n], before the next forward. Throws AIR_ERR_BUSY during a forward. */
  copyPages(headGroup: number, src: Int32Array, dst: Int32Array): void;
  /** Copies pages [n] into `out`, [n * bytesPerPage], in their order. Throws AIR_ERR_BUSY during a forward. */
  readPages(headGroup: number, pages: Int32Array, out: Uint8Array): void;
  /** Fills pages [n] from `bytes`, [n * bytesPerPage]. Throws AIR_ERR_BUSY during a forward. */
  writePages(headGroup: number, pages: Int32Array, bytes: Uint8Array): void;
}

/**
 * One ragged causal step: prefill, decode and verification differ only in tokens per sequence.
 * G head groups, S sequences, T tokens, R logit rows, P = maxPages (pageTables.length / (G * S)).
 */
export interface Batch {
  readonly tokens: Int32Array; // [T] token ids
  readonly positions: Int32Array; // [T] RoPE position; need not equal the cache index
  /** [G, T] page * pageTokens + offset to write, no slot twice; -1 writes nothing to that group. */
  readonly slots: Int32Array;
  readonly sequenceStarts: Int32Array; // [S + 1] first token of each sequence, then T
  readonly pageTables: Int32Array; // [G, S, P] pages in cache order, padded with the null page 0
  /**
   * [G, S] cached tokens, this step's included. A token of the step reads the entries up to and including its
   * own: contextLength minus the later tokens of its sequence that were written to the group.
   */
  readonly contextLengths: Int32Array;
  readonly logitRows: Int32Array; // [R] indices into tokens, ascending
  /** [G, S] the first n cached tokens are attention sinks, which every token reads. Default 0. */
  readonly sinkTokens?: Int32Array;
  /** [G, S] besides the sinks, a token reads at most this many entries, up to its own. Default 0, all of them. */
  readonly windowTokens?: Int32Array;
  /**
   * [G, S] tokens that were dropped, a multiple of pageTokens, as if all of them right after the pages of the sinks. Once
   * there are any, what shares those pages with the sinks is not read. Sinks are scored with the query rotated to its
   * position less the entries between them and its window, the dropped ones included: as if the text had neither. Sums go
   * by index in the text, so bits do not depend on when pages are dropped. Default 0.
   */
  readonly evictedTokens?: Int32Array;
  /** [layers, queryHeads] 0 masks the head: it is not computed and contributes nothing. Default all 1. */
  readonly queryGates?: Uint8Array;
}

/** What heads and feed-forward channels contributed, summed over the step's tokens. Added to what is there. */
export interface Activity {
  /** [layers, queryHeads * headDim] squares of what attention hands to the output matrix; masked heads add nothing. */
  readonly attendedSquares: SharedFloats;
  /** [layers, feedForwardLength] squares of what is handed to the down matrix. */
  readonly hiddenSquares: SharedFloats;
}

export interface ForwardOutput {
  /** [logitCount, vocabSize], written in place; from allocateShared. */
  readonly logits: SharedFloats;
  /** Logits are computed for so many of the rows, the first ones. Default R. */
  readonly logitCount?: number;
  /** [R, embeddingLength], written in place: the normed hidden state that the output matrix is given. */
  readonly hidden?: SharedFloats;
  /**
   * [G, S, P], written in place: the attention that the last token of each sequence pays to each of its pages, the mean
   * over the open query heads of the group, 0 past the last page. The pages of a sequence sum to 1, or all are 0 when
   * nothing was read. That token's cache is read twice then.
   */
  readonly pageMass?: SharedFloats;
  /** Only for a model without pruning and a batch that asks for the logits of every token. */
  readonly activity?: Activity;
}

export interface ForwardStats {
  readonly computeMicros: number;
}

/** How far each sequence drafts. */
export interface ProposeOptions {
  readonly counts: Int32Array; // [S] tokens to draft, 1 to 1024
  /** A sequence drafts no further once the product of its tokens' probabilities is below this; 0 to 1. */
  readonly minConfidence: number;
}

/** Drafted tokens; K is the largest count. */
export interface ProposeResult extends ForwardStats {
  readonly tokens: Int32Array; // [S, K], -1 after a sequence's last one
  readonly confidence: Float32Array; // [S, K] the model's probability of each, 0 after the last one
}

/** Activations plus one engine thread. One forward in flight; a second rejects AIR_ERR_BUSY. */
export interface NativeRunner extends Handle {
  /** Compute threads; fewer than asked for where a cgroup's quota allows no more. */
  readonly threads: number;
  /** Bytes of activation and scratch buffers. */
  readonly workspaceBytes: number;
  /** Copies the index arrays before returning; writes `output` until the promise settles. */
  forward(batch: Batch, output: ForwardOutput): Promise<ForwardStats>;
  /** Same work on the calling thread, for tests, benches and worker threads. */
  forwardSync(batch: Batch, output: ForwardOutput): ForwardStats;
  /**
   * Computes the batch, then feeds every sequence its own likeliest token, over and over, in one call. logitRows are
   * the last tokens of the sequences. Page tables hold pages for counts[s] - 1 entries past the context length; a
   * sequence that drafted n tokens has written n - 1 of them.
   */
  propose(batch: Batch, options: ProposeOptions): Promise<ProposeResult>;
  /** Later steps are computed by so many of its threads, 1 to `threads`; results do not depend on it. */
  limitThreads(threads: number): void;
  /** Stops before the next layer; the forward in flight rejects AIR_ERR_CANCELLED. No-op when idle. */
  cancel(): void;
}

/** Row mechanism over [rows, vocabSize] float32. The caller says which random numbers. Sync, microseconds. */
export interface RowOps {
  /** In place softmax(logits / temperature); temperature > 0. */
  softmaxRows(logits: Float32Array, vocabSize: number, temperature: number): void;
  /** Lowest index among equals. out: [rows]. A row that holds NaN yields -1. */
  argmaxRows(logits: Float32Array, vocabSize: number, out: Int32Array): void;
  /** The k largest, descending, ties by lower index. outIds, outValues: [k]. */
  topKRow(row: Float32Array, k: number, outIds: Int32Array, outValues: Float32Array): void;
  /**
   * An index i with probability weights[i] / total: that of the least E_i / weights[i], where E_i is the exponential
   * variate of ids[i] under (seed, position, purpose), by Philox4x32-10. Draws of one key from similar distributions
   * mostly agree (Gumbel sampling as a coupling, arXiv 2408.07978). ids default to the indices.
   */
  sampleRow(
    weights: Float32Array,
    ids: Int32Array | undefined,
    seed: number,
    position: number,
    purpose: number,
  ): number;
  /** log(sum(exp(row))) in float64, numerically stable. */
  logSumExpRow(row: Float32Array): number;
  /** Kullback-Leibler divergence of softmax(logits) from softmax(reference) in nats, at least 0, in float64. */
  divergenceRow(reference: Float32Array, logits: Float32Array): number;
  /** out = normalise(max(0, target - draft)): speculative sampling's residual (arXiv 2211.17192). */
  residualRow(target: Float32Array, draft: Float32Array, out: Float32Array): void;
}

/** Which threads compute. No other thread of the process is touched. */
export interface ThreadOptions {
  /**
   * Default: as many as cpuList has CPUs, else Capabilities.defaultThreads, on big cores only. A number above the
   * cgroup's CPU quota is reduced to it.
   */
  readonly threads?: number;
  /** CPUs for the threads, in order; those of a runner are pinned to one each. Default: no pinning. */
  readonly cpuList?: readonly number[];
  readonly priority?: ThreadPriority;
}

/** Weights that are left out: not packed, not computed. 0 leaves out, 1 keeps. Biases of what is left out go too. */
export interface Pruning {
  /**
   * [layers, queryHeads]. The keys and values of a KV head without query heads are left out too, and its head mask must be
   * 255. A head dimension that is no multiple of 32 is refused with AIR_ERR_UNSUPPORTED.
   */
  readonly queryHeads?: Uint8Array;
  /** [layers, ceil(feedForwardLength / 32)] groups of 32 channels. */
  readonly channelGroups?: Uint8Array;
}

/** The threads are those that pack weights. */
export interface LoadModelOptions extends ThreadOptions {
  readonly backend: Backend;
  /** Index of the CUDA device. Default 0. */
  readonly device?: number;
  /** Layers from the end that the CUDA device computes, 1 to all; the CPU computes those before. Default all. */
  readonly gpuLayers?: number;
  /** Directory of packed weights: mapped from there when they fit, else written there for the next load. */
  readonly packCache?: string;
  readonly pruning?: Pruning;
  /**
   * Called on the JS thread now and then, with bytes done and in all. With a pack cache, checking a file that then
   * turns out unusable counts by itself, and packing starts over from 0.
   */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface CreateArenaOptions {
  /** [layers, kvHeads] head group of each KV head: 0 full, 1 sinks + window, .., 255 dropped. */
  readonly headMask: Uint8Array;
  /** Tokens per page; a multiple of 16. */
  readonly pageTokens: number;
  /** Pages of each group, the null page 0 included. Its length is G. */
  readonly pageCounts: readonly number[];
  readonly keyType: KvType;
  readonly valueType: KvType;
  /**
   * Keys and queries are multiplied by a normalised Hadamard matrix after RoPE, which leaves scores as they are and spreads
   * outliers over the dims. Default false.
   */
  readonly rotateKeys?: boolean;
}

/** The threads include the engine thread, which is the first. */
export interface CreateRunnerOptions extends ThreadOptions {
  /** Most tokens in one batch. */
  readonly maxTokens: number;
  /** Most sequences in one batch; default maxTokens. */
  readonly maxSequences?: number;
}

export interface NativeAddon extends RowOps {
  capabilities(): Capabilities;
  /** Opens the CUDA driver and asks it, which takes a moment. A missing driver is a reason, not an error. */
  listCudaDevices(): CudaDevices;
  /** Loads this build's kernels onto a device and lets go of them. AIR_ERR_NO_DEVICE, AIR_ERR_UNSUPPORTED. */
  probeCudaDevice(device: number): LoadedDevice;
  loadModel(
    directory: NativeTensorDirectory,
    spec: DecoderSpec,
    options: LoadModelOptions,
  ): Promise<NativeModel>;
  createArena(model: NativeModel, options: CreateArenaOptions): NativeKvArena;
  createRunner(model: NativeModel, arena: NativeKvArena, options: CreateRunnerOptions): NativeRunner;
  /** Memory that `threads` threads read together, in GB/s (10^9 bytes); takes a moment and 256 MiB. */
  measureReadBandwidth(threads: number): Promise<number>;
  /** What a CUDA device reads of its memory, in GB/s; takes a moment and `bytes` of its memory, 16 at least. */
  measureDeviceBandwidth(device: number, bytes: number): Promise<number>;
  /** Zeroed float32 over a SharedArrayBuffer. */
  allocateShared(length: number): SharedFloats;
}
