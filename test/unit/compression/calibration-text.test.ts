import { describe, expect, test } from "vitest";

import { divideText } from "../../../lib/compression/calibration-text.js";

const model = { info: { contextTokens: 11 }, tokenizer: { addBos: true, bosId: 999 } };
const tokens = Int32Array.from({ length: 205 }, (_, index) => index); // 20 windows of 10, and a rest
const sizes = { contextTokens: 11, scoreTokens: 33, holdoutTokens: 22, maxRows: 1000 };

/** Numbers of the windows, which begin at 0, 10, 20, .. */
function order(windows: readonly { readonly next: Int32Array }[]): number[] {
  return windows.map(({ next }) => (next[0] ?? -1) / 10);
}

describe("divideText", () => {
  test("holds every fourth window out, and spreads both kinds over the text", () => {
    const { scored, holdout } = divideText(model, tokens, sizes);
    expect(order(scored)).toEqual([5, 12, 18]); // of 0, 1, 2, 4, 5, 6, 8, .. 18
    expect(order(holdout)).toEqual([7, 19]); // of 3, 7, 11, 15, 19
    expect([...(scored[0]?.fed ?? [])]).toEqual([999, 50, 51, 52, 53, 54, 55, 56, 57, 58]);
  });

  test("takes every window when more is asked for, none of them for both", () => {
    const { scored, holdout } = divideText(model, tokens, { ...sizes, scoreTokens: 1e6, holdoutTokens: 1e6 });
    expect(order(holdout)).toEqual([3, 7, 11, 15, 19]);
    expect([...order(scored), ...order(holdout)].sort((a, b) => a - b)).toEqual([...Array(20).keys()]);
  });

  test("counts all rows while there is room for their predictions, else some, the last among them", () => {
    expect(divideText(model, tokens, sizes).scoredRows).toEqual(
      Array.from({ length: 3 }, () => [...Array(10).keys()]),
    );
    const { scoredRows } = divideText(model, tokens, { ...sizes, maxRows: 7 });
    expect(scoredRows).toEqual([
      [4, 9],
      [4, 9],
      [4, 9],
    ]);
    expect(divideText(model, tokens, { ...sizes, maxRows: 0 }).scoredRows).toEqual([[9], [9], [9]]);
  });

  test("refuses a text of less than four windows", () => {
    expect(() => divideText(model, tokens.subarray(0, 43), sizes)).toThrow(
      expect.objectContaining({
        code: "AIR_ERR_ARGUMENT",
        message: "expected at least 44 tokens for a calibration text in windows of 11 but received 43",
      }),
    );
    const { scored, holdout } = divideText(model, tokens.subarray(0, 44), sizes);
    expect([scored.length, holdout.length]).toEqual([3, 1]);
  });
});
