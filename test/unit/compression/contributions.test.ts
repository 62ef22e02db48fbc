import { describe, expect, test } from "vitest";

import {
  channelShares,
  chooseChannelGroups,
  headContributions,
} from "../../../lib/compression/contributions.js";

describe("channelShares", () => {
  const spec = { layers: 2, feedForwardLength: 40 }; // groups of 32 and 8

  test("sums activations times columns by group, as shares of the layer", () => {
    const hidden = new Float32Array(80).fill(1);
    const down = [new Float32Array(40).fill(2), new Float32Array(40).fill(1)];
    down[1]?.fill(9, 32); // the 8 channels of the last group weigh 72 against 32
    expect([...channelShares(spec, hidden, down)]).toEqual([0.8, 0.2, 32 / 104, 72 / 104]);
  });

  test("takes the activations of the layer, not of another", () => {
    const hidden = new Float32Array(80);
    hidden[40 + 33] = 5;
    const down = [new Float32Array(40).fill(1), new Float32Array(40).fill(1)];
    expect([...channelShares(spec, hidden, down)]).toEqual([0, 0, 0, 1]); // silent layers have no shares
  });
});

describe("chooseChannelGroups", () => {
  const shares = Float64Array.of(0.1, 0.2, 0.3, 0.4, 0.05, 0.06, 0.07, 0.82);

  test("takes the groups with the least shares, by layer and ascending", () => {
    expect(chooseChannelGroups(shares, 2, 0.5, 4)).toEqual([[0], [0, 1, 2]]);
    expect(chooseChannelGroups(Float64Array.of(0.9, 0.05, 0.01, 0.04), 1, 0.5, 3)).toEqual([[2, 3]]);
  });

  test("goes on elsewhere when a layer has given all that it may", () => {
    expect(chooseChannelGroups(shares, 2, 0.5, 2)).toEqual([
      [0, 1],
      [0, 1],
    ]);
  });

  test("takes fewer than asked for where the caps allow no more, and none of nothing", () => {
    expect(chooseChannelGroups(shares, 2, 1, 1)).toEqual([[0], [0]]);
    expect(chooseChannelGroups(shares, 2, 0, 4)).toEqual([[], []]);
  });
});

describe("headContributions", () => {
  test("sums dims by head, as shares of the layer", () => {
    const spec = { layers: 2, queryHeads: 2, headDim: 2 };
    const attended = Float32Array.of(1, 1, 2, 4, 0, 0, 0, 0);
    const output = [Float32Array.of(1, 3, 1, 1.5), new Float32Array(4).fill(1)];
    expect([...headContributions(spec, attended, output)]).toEqual([4 / 12, 8 / 12, 0, 0]);
  });
});
