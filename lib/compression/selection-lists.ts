import { createHash } from "node:crypto";

import type { HeadClass } from "../model/heads-file.js";
import type { DecoderSpec } from "../native/native.js";
import type { HeadSelection } from "./calibration-runner.js";

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

/** What a selection makes of a KV head. */
export function classOf(
  kvHead: number,
  { masked, streamed }: HeadSelection,
  { queryHeads, kvHeads }: DecoderSpec,
): HeadClass {
  const group = queryHeads / kvHeads;
  const isUsed = Array.from({ length: group }, (_, order) => kvHead * group + order).some(
    (head) => !masked.has(head),
  );
  if (!isUsed) return "dropped";
  return streamed.has(kvHead) ? "stream" : "full";
}
