/** 100,000 tokens through a window of 256: some minutes. */
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { generateEndless, memoryTrend } from "../../bench/compression/endless-process.js";

const model = fileURLToPath(new URL("../../models/air-tiny-chat-q4_0.gguf", import.meta.url));

test("100,000 tokens take constant K/V, and otherwise what their text takes", () => {
  const report = generateEndless({ model, tokens: 100_000, load: { window: 252, sinks: 4 } });
  expect(report.generated).toBe(100_000);
  expect(new Set(report.samples.map(({ kvBytes }) => kvBytes)).size).toBe(1);
  expect(Math.max(...report.samples.map(({ pagesInUse }) => pagesInUse))).toBeLessThanOrEqual(11);
  const { bytesPerToken, heapBytesPerToken, mostBytes, leastBytes } = memoryTrend(report.samples, 5000);
  // int8 K/V of the text would be 2176 bytes a token.
  expect(heapBytesPerToken).toBeLessThan(100);
  expect(bytesPerToken).toBeLessThan(150);
  expect(mostBytes - leastBytes).toBeLessThan(20 * 2 ** 20);
});
