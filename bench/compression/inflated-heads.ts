import type { HeadsFile } from "../../lib/index.js";
import type { HeadsModel } from "../../lib/model/heads-file.js";
import { at } from "../../lib/util/array-access.js";

/** Sizes of a model and what names its file. */
export type HeadsOwner = HeadsModel & { readonly name: string };

/**
 * A small model's heads file for the same model inflated (bench/models/inflate.ts), whose calibration would take hours for
 * the same answer: it keeps KV heads in their places, head m of group g at m of the wider group g, and computes the same
 * function. Layers that inflation adds have no say in the output; there all KV heads are streamed and none dropped, since
 * dropping would cost nothing here and something in a real model.
 */
export function inflatedHeads(heads: HeadsFile, source: HeadsModel["spec"], target: HeadsOwner): HeadsFile {
  const { layers, queryHeads, kvHeads } = target.spec;
  const sourceGroup = source.queryHeads / source.kvHeads;
  const group = queryHeads / kvHeads;
  const classes = Array.from({ length: layers }, (_, layer) =>
    Array.from({ length: kvHeads }, (_, kvHead) => heads.kvHeads[layer]?.[kvHead] ?? "stream"),
  );
  const masked = classes.map((layerClasses, layer) => {
    const own = heads.maskedQueryHeads[layer] ?? [];
    return Array.from({ length: queryHeads }, (_, head) => head).filter((head) => {
      const kvHead = Math.floor(head / group);
      if (at(layerClasses, kvHead) === "dropped") return true;
      const member = head % group;
      return member < sourceGroup && own.includes(kvHead * sourceGroup + member);
    });
  });
  const nulls = (width: number): null[][] => classes.map(() => Array.from({ length: width }, () => null));
  return {
    ...heads,
    model: { fingerprint: target.fingerprint, name: target.name },
    kvHeads: classes,
    maskedQueryHeads: masked,
    prunedChannelGroups: classes.map(() => []),
    scores: {
      queryHeads: nulls(queryHeads),
      kvHeadsStream: nulls(kvHeads),
      kvHeadsDropped: nulls(kvHeads),
    },
  };
}
