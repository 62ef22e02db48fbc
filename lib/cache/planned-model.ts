import type { SinkWindowOptions } from "./sink-window.js";

/** Storage of cached keys or values; the same words as the native surface's KvType. */
export type PlannedKvType = "int8" | "f16" | "int4";

/** A tensor of a model file. Its role says where its bytes go when the model is loaded. */
export interface PlannedTensor {
  /** Canonical role, such as `layers.0.attention.q.weight`. */
  readonly role: string;
  /** Storage type in the file, by its GGUF name. */
  readonly type: string;
  /** [rows, cols] of a matrix, [length] of a vector. */
  readonly shape: readonly number[];
  readonly lengthBytes: number;
}

/** The numbers of a decoder that decide how much memory it takes. */
export interface PlannedModel {
  readonly layers: number;
  readonly embeddingLength: number;
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly feedForwardLength: number;
  readonly vocabSize: number;
  readonly rope: { readonly dimensions: number };
  /** The output matrix is the token embedding, which is then packed beside being read in place. */
  readonly tiedOutput: boolean;
  readonly tensors: readonly PlannedTensor[];
}

/** What a model's KV heads keep, and what of its weights is left out. */
export interface PlannedHeads {
  /** [layers, kvHeads] 0 keeps every token, 1 sinks and a window, 255 nothing. */
  readonly headMask?: Uint8Array;
  /** What heads of mask 1 read. */
  readonly streamWindow?: SinkWindowOptions;
  /** [layers, queryHeads] 0 leaves the head's weights out. */
  readonly queryHeads?: Uint8Array;
  /** [layers, ceil(feedForwardLength / 32)] 0 leaves the weights of these 32 channels out. */
  readonly channelGroups?: Uint8Array;
}

/** How a model is to be loaded, as far as memory depends on it. */
export interface MemorySettings {
  /** Most tokens of one text. */
  readonly contextTokens: number;
  /** Texts of that length that are to be held at a time. */
  readonly sequences: number;
  /** Tokens that heads which keep everything have room for, instead of sequences * contextTokens. */
  readonly kvTokens?: number | undefined;
  readonly keyType: PlannedKvType;
  readonly valueType: PlannedKvType;
  /** A multiple of 16. */
  readonly pageTokens: number;
  readonly maxBatchTokens: number;
  readonly threads: number;
  /** What all heads read, those of mask 1 apart. Default: everything. */
  readonly window?: SinkWindowOptions | undefined;
  readonly heads?: PlannedHeads | undefined;
}

/** `value` rounded up to a multiple. */
export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
