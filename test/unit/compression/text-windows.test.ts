import { describe, expect, test } from "vitest";

import { textWindows } from "../../../lib/compression/text-windows.js";

const info = { contextTokens: 64 };
const withBos = { info, tokenizer: { addBos: true, bosId: 99 } };
const withoutBos = { info, tokenizer: { addBos: false, bosId: 99 } };
const tokens = Int32Array.of(10, 11, 12, 13, 14, 15, 16, 17);

function plain(windows: ReturnType<typeof textWindows>) {
  return windows.map(({ fed, next, scoredFrom }) => ({ fed: [...fed], next: [...next], scoredFrom }));
}

describe("textWindows", () => {
  test("feeds BOS and asks for the window's tokens", () => {
    expect(plain(textWindows(withBos, tokens, { contextTokens: 4 }))).toEqual([
      { fed: [99, 10, 11], next: [10, 11, 12], scoredFrom: 0 },
      { fed: [99, 13, 14], next: [13, 14, 15], scoredFrom: 0 },
    ]);
  });

  test("feeds the token before the window where the model adds no BOS", () => {
    const windows = [
      { fed: [10, 11, 12], next: [11, 12, 13], scoredFrom: 0 },
      { fed: [13, 14, 15], next: [14, 15, 16], scoredFrom: 0 },
    ];
    expect(plain(textWindows(withoutBos, tokens, { contextTokens: 4 }))).toEqual(windows);
    const noBosId = { info, tokenizer: { addBos: true, bosId: undefined } };
    expect(plain(textWindows(noBosId, tokens, { contextTokens: 4 }))).toEqual(windows);
  });

  test("scores with a stride what no earlier window scored, each token once", () => {
    const windows = textWindows(withBos, tokens, { contextTokens: 5, stride: 2 });
    expect(windows.map(({ scoredFrom }) => scoredFrom)).toEqual([0, 2, 2]);
    expect(windows.flatMap(({ next, scoredFrom }) => [...next.subarray(scoredFrom)])).toEqual([...tokens]);
  });

  test("does not overlap from a stride of a window on", () => {
    const apart = textWindows(withBos, tokens, { contextTokens: 4, stride: 3 });
    expect(plain(textWindows(withBos, tokens, { contextTokens: 4, stride: 60 }))).toEqual(plain(apart));
  });

  test("takes a text of exactly one window and refuses a shorter one", () => {
    expect(textWindows(withBos, tokens.subarray(0, 3), { contextTokens: 4 })).toHaveLength(1);
    expect(textWindows(withoutBos, tokens.subarray(0, 4), { contextTokens: 4 })).toHaveLength(1);
    expect(() => textWindows(withBos, tokens.subarray(0, 2), { contextTokens: 4 })).toThrow(
      "expected at least 3 tokens for a text in windows of 4 but received 2",
    );
    expect(() => textWindows(withoutBos, tokens.subarray(0, 3), { contextTokens: 4 })).toThrow(
      "expected at least 4 tokens for a text in windows of 4 but received 3",
    );
  });

  test.each([
    [{ contextTokens: 65 }, "expected an integer from 2 to 64 for contextTokens but received 65"],
    [{ contextTokens: 2.5 }, "expected an integer from 2 to 64 for contextTokens but received 2.5"],
    [{ contextTokens: 4, stride: 0 }, "expected an integer of at least 1 for stride but received 0"],
    [{ contextTokens: 4, stride: NaN }, "expected an integer of at least 1 for stride but received NaN"],
  ])("refuses %j", (options, message) => {
    expect(() => textWindows(withBos, tokens, options)).toThrow(
      expect.objectContaining({ code: "AIR_ERR_ARGUMENT", message }),
    );
  });
});
