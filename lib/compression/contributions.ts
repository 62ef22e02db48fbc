import type { DecoderSpec } from "../native/native.js";
import { at } from "../util/array-access.js";

/** Channels that go together: a group of the packed weights. */
export const channelsPerGroup = 32;

/**
 * Energy that each group of 32 feed-forward channels adds to the residual stream, as a share of its layer: squares of its
 * activations times those of its columns of the down matrix (as Wanda scores single weights, arXiv 2306.11695).
 *
 * @param hiddenSquares - [layers, feedForwardLength] summed squares of activations
 * @param downSquares - by layer, [feedForwardLength] squares of the down matrix's columns
 * @returns [layers * ceil(feedForwardLength / 32)]
 */
export function channelShares(
  spec: Pick<DecoderSpec, "layers" | "feedForwardLength">,
  hiddenSquares: Float32Array,
  downSquares: readonly Float32Array[],
): Float64Array {
  const { layers, feedForwardLength } = spec;
  const groups = Math.ceil(feedForwardLength / channelsPerGroup);
  const shares = new Float64Array(layers * groups);
  for (let layer = 0; layer < layers; layer += 1) {
    let total = 0;
    for (let channel = 0; channel < feedForwardLength; channel += 1) {
      const energy =
        at(hiddenSquares, layer * feedForwardLength + channel) * at(at(downSquares, layer), channel);
      total += energy;
      const group = layer * groups + Math.floor(channel / channelsPerGroup);
      shares[group] = at(shares, group) + energy;
    }
    for (let group = layer * groups; group < (layer + 1) * groups; group += 1) {
      shares[group] = total > 0 ? at(shares, group) / total : 0;
    }
  }
  return shares;
}

/**
 * The groups with the least shares.
 *
 * @param fraction - of all groups
 * @param layerCap - most groups of one layer
 * @returns by layer, ascending
 */
export function chooseChannelGroups(
  shares: Float64Array,
  layers: number,
  fraction: number,
  layerCap: number,
): readonly (readonly number[])[] {
  const groups = shares.length / layers;
  const chosen = Array.from({ length: layers }, (): number[] => []);
  let left = Math.round(shares.length * fraction);
  for (const index of [...shares.keys()].sort((a, b) => at(shares, a) - at(shares, b))) {
    if (left === 0) break;
    const list = at(chosen, Math.floor(index / groups));
    if (list.length >= layerCap) continue;
    list.push(index % groups);
    left -= 1;
  }
  return chosen.map((list) => list.sort((a, b) => a - b));
}

/**
 * What each query head adds to the residual stream, as a share of its layer: squares of its outputs times those of its
 * columns of the output matrix.
 *
 * @param attendedSquares - [layers, queryHeads * headDim]
 * @param outputSquares - by layer, [queryHeads * headDim]
 * @returns [layers * queryHeads]
 */
export function headContributions(
  spec: Pick<DecoderSpec, "layers" | "queryHeads" | "headDim">,
  attendedSquares: Float32Array,
  outputSquares: readonly Float32Array[],
): Float64Array {
  const { layers, queryHeads, headDim } = spec;
  const width = queryHeads * headDim;
  const contributions = new Float64Array(layers * queryHeads);
  for (let layer = 0; layer < layers; layer += 1) {
    let total = 0;
    for (let dim = 0; dim < width; dim += 1) {
      const energy = at(attendedSquares, layer * width + dim) * at(at(outputSquares, layer), dim);
      total += energy;
      const head = layer * queryHeads + Math.floor(dim / headDim);
      contributions[head] = at(contributions, head) + energy;
    }
    for (let head = layer * queryHeads; head < (layer + 1) * queryHeads; head += 1) {
      contributions[head] = total > 0 ? at(contributions, head) / total : 0;
    }
  }
  return contributions;
}
