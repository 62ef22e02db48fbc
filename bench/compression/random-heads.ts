import type { HeadsFile } from "../../lib/index.js";
import type { HeadsModel } from "../../lib/model/heads-file.js";
import { philox4x32 } from "../../lib/util/rng.js";

/** Every head in the full class, nothing masked; for the fields that a mask does not change. */
type Template = Pick<HeadsFile, "format" | "version" | "model" | "calibration" | "window" | "expected">;

function emptyLists(layers: number): number[][] {
  return Array.from({ length: layers }, () => []);
}

function nulls(layers: number, width: number): null[][] {
  return Array.from({ length: layers }, () => Array.from({ length: width }, () => null));
}

/** (layer, query head) pairs in an order that depends on the seed only. */
function shuffledHeads(layers: number, queryHeads: number, seed: number): readonly [number, number][] {
  const keyed = Array.from({ length: layers * queryHeads }, (_, index) => {
    const [key] = philox4x32([index, 0, 0, 0], [seed, 0]);
    return { key, head: [Math.floor(index / queryHeads), index % queryHeads] as [number, number] };
  });
  return keyed.sort((a, b) => a.key - b.key).map(({ head }) => head);
}

/**
 * A heads file that masks as many query heads as asked, drawn at random, at most `layerCap` of a layer. KV heads whose query
 * heads are all masked are dropped, as the format wants it.
 */
export function randomHeads(
  template: Template,
  { layers, queryHeads, kvHeads }: HeadsModel["spec"],
  { count, layerCap, seed }: { readonly count: number; readonly layerCap: number; readonly seed: number },
): HeadsFile {
  const maskedQueryHeads = emptyLists(layers);
  let left = count;
  for (const [layer, head] of shuffledHeads(layers, queryHeads, seed)) {
    const masked = maskedQueryHeads[layer];
    if (left === 0 || masked === undefined || masked.length >= layerCap) continue;
    masked.push(head);
    left -= 1;
  }
  for (const masked of maskedQueryHeads) masked.sort((a, b) => a - b);
  const group = queryHeads / kvHeads;
  const { format, version, model, calibration, window, expected } = template;
  return {
    ...{ format, version, model, calibration, window },
    kvHeads: maskedQueryHeads.map((masked) =>
      Array.from({ length: kvHeads }, (_, kvHead) => {
        const own = masked.filter((head) => Math.floor(head / group) === kvHead);
        return own.length === group ? "dropped" : "full";
      }),
    ),
    maskedQueryHeads,
    prunedChannelGroups: emptyLists(layers),
    scores: {
      queryHeads: nulls(layers, queryHeads),
      kvHeadsStream: nulls(layers, kvHeads),
      kvHeadsDropped: nulls(layers, kvHeads),
    },
    expected,
  };
}
