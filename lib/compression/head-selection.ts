import { createHash } from "node:crypto";

import { type HeadClass, queryHeadsOf } from "../model/heads-file.js";
import type { DecoderSpec } from "../native/native.js";

/** Which heads a model is tried with. Heads are numbered layer * heads per layer + head. */
export interface HeadSelection {
  /** Query heads that are not computed. A KV head without query heads is dropped. */
  readonly masked: ReadonlySet<number>;
  /** KV heads that read sinks and window only. */
  readonly streamed: ReadonlySet<number>;
}

/** Nothing masked, nothing streamed. */
export const wholeModel: HeadSelection = { masked: new Set(), streamed: new Set() };

/** Names a selection in the journal. */
export function keyOf({ masked, streamed }: HeadSelection): string {
  const list = (heads: ReadonlySet<number>): string => [...heads].sort((a, b) => a - b).join(",");
  return createHash("sha256")
    .update(`${list(masked)} ${list(streamed)}`)
    .digest("hex")
    .slice(0, 24);
}

/** [layers][width] values by head. */
export function byLayer<Value>(layers: number, width: number, valueOf: (head: number) => Value): Value[][] {
  return Array.from({ length: layers }, (_, layer) =>
    Array.from({ length: width }, (__, index) => valueOf(layer * width + index)),
  );
}

/** By layer, the heads of the set, ascending. */
export function listByLayer(heads: ReadonlySet<number>, layers: number, width: number): number[][] {
  const sorted = [...heads].sort((a, b) => a - b);
  return Array.from({ length: layers }, (_, layer) =>
    sorted.filter((head) => Math.floor(head / width) === layer).map((head) => head % width),
  );
}

/** [layers][kvHeads] what a selection makes of each KV head. */
export function classesOf({ masked, streamed }: HeadSelection, spec: DecoderSpec): HeadClass[][] {
  return byLayer(spec.layers, spec.kvHeads, (kvHead) => {
    if (queryHeadsOf(kvHead, spec).every((head) => masked.has(head))) return "dropped";
    return streamed.has(kvHead) ? "stream" : "full";
  });
}
