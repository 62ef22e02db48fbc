import { type PlannedHeads, type PlannedKvType, type PlannedModel, roundUp } from "./planned-model.js";

const groupDims = 32;
const memberAlignment = 64;
const scaleBytes = 2;

/** Values of head_mask; others are groups of their own, which no plan knows. */
const fullHead = 0;
const streamHead = 1;

/** Bytes of the data and of the scales of `pageTokens` keys or values of one head, of `dims` (padded) each. */
function sideBytes(type: PlannedKvType, pageTokens: number, dims: number): number {
  switch (type) {
    case "int8":
      return pageTokens * (dims + scaleBytes);
    case "int4":
      return pageTokens * (dims / 2 + (dims / groupDims) * scaleBytes);
    case "f16":
      return pageTokens * dims * 2;
  }
}

/** Bytes of one layer's KV head in one page; native/core/kv_arena.cc lays it out. */
export function memberBytes(
  pageTokens: number,
  headDim: number,
  keyType: PlannedKvType,
  valueType: PlannedKvType,
): number {
  const dims = roundUp(headDim, groupDims);
  return roundUp(
    sideBytes(keyType, pageTokens, dims) + sideBytes(valueType, pageTokens, dims),
    memberAlignment,
  );
}

/** What the KV pages of a model are to hold. */
export interface KvDemand {
  readonly keyType: PlannedKvType;
  readonly valueType: PlannedKvType;
  readonly pageTokens: number;
  /** Most tokens of one text. */
  readonly contextTokens: number;
  /** Texts that are to be held at a time, each with its whole context. */
  readonly sequences: number;
  /** Tokens of all texts together, instead of sequences * contextTokens. */
  readonly kvTokens?: number | undefined;
  /** Most tokens of one step, which a window has room for besides its own. */
  readonly batchTokens: number;
  /** Tokens that streaming heads keep besides the sinks; without it every head keeps all. */
  readonly windowTokens?: number | undefined;
  readonly sinkTokens?: number | undefined;
  /** Without it all heads stream where there is a window, and none where there is not. */
  readonly headMask?: PlannedHeads["headMask"] | undefined;
}

/** KV heads that share a page table: those that keep everything, or those that stream. */
export interface KvGroupMemory {
  readonly kind: "full" | "stream";
  /** (layer, KV head) pairs. */
  readonly members: number;
  readonly pageBytes: number;
  /** The null page included. */
  readonly pages: number;
  readonly bytes: number;
}

/** Pages of a sequence in each kind of group. */
function pagesOf(kind: KvGroupMemory["kind"], demand: KvDemand): number {
  const { contextTokens, sequences, kvTokens, pageTokens, batchTokens } = demand;
  const whole = Math.ceil(contextTokens / pageTokens);
  if (kind === "full") return kvTokens === undefined ? sequences * whole : Math.ceil(kvTokens / pageTokens);
  const { windowTokens = 0, sinkTokens = 0 } = demand;
  // The window's first token may lie anywhere in its page, which takes one more.
  const window = Math.ceil((sinkTokens + windowTokens + batchTokens) / pageTokens) + 1;
  return sequences * Math.min(whole, window);
}

function membersOf(kind: KvGroupMemory["kind"], model: PlannedModel, demand: KvDemand): number {
  const { headMask, windowTokens } = demand;
  if (headMask === undefined) {
    const standard = windowTokens === undefined ? "full" : "stream";
    return kind === standard ? model.layers * model.kvHeads : 0;
  }
  // Without a window, streaming heads keep everything too.
  const isStream = (value: number) => value === streamHead && windowTokens !== undefined;
  const isFull = (value: number) => (value === fullHead || value === streamHead) && !isStream(value);
  return headMask.filter(kind === "stream" ? isStream : isFull).length;
}

/** The page memory of each kind of KV heads that the model has. */
export function kvMemory(model: PlannedModel, demand: KvDemand): readonly KvGroupMemory[] {
  const bytes = memberBytes(demand.pageTokens, model.headDim, demand.keyType, demand.valueType);
  return (["full", "stream"] as const).flatMap((kind) => {
    const members = membersOf(kind, model, demand);
    if (members === 0) return [];
    const pages = pagesOf(kind, demand) + 1;
    const pageBytes = members * bytes;
    return [{ kind, members, pageBytes, pages, bytes: pages * pageBytes }];
  });
}
