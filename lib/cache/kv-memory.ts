import { kvLayout, type KvLayoutOptions } from "./kv-layout.js";
import { type PlannedKvType, type PlannedModel, roundUp } from "./planned-model.js";

const groupDims = 32;
const memberAlignment = 64;
const scaleBytes = 2;

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

/** What the KV pages of a model are to hold, and how. */
export interface KvDemand extends KvLayoutOptions {
  readonly keyType: PlannedKvType;
  readonly valueType: PlannedKvType;
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

/** The page memory of each kind of KV heads that the model has. */
export function kvMemory(model: PlannedModel, demand: KvDemand): readonly KvGroupMemory[] {
  const bytes = memberBytes(demand.pageTokens, model.headDim, demand.keyType, demand.valueType);
  return kvLayout(model.layers * model.kvHeads, demand)
    .filter(({ members }) => members > 0)
    .map(({ members, window, pages }) => {
      const pageBytes = members * bytes;
      return {
        kind: window === undefined ? "full" : "stream",
        members,
        pageBytes,
        pages,
        bytes: pages * pageBytes,
      };
    });
}
