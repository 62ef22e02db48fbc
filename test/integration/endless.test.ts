/** A text past every window: memory stays where it is. The long form is endless.long.test.ts. */
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { generateEndless } from "../../bench/compression/endless-process.js";
import { planModel } from "../../lib/index.js";

const model = fileURLToPath(new URL("../../models/air-tiny-chat-q4_0.gguf", import.meta.url));
const load = { window: 252, sinks: 4 };

test("4000 tokens through a window of 256 take the K/V of the window", async () => {
  const { generated, finishReason, samples, policy } = generateEndless({
    model,
    tokens: 4000,
    every: 500,
    load,
  });
  expect({ generated, finishReason, policy }).toEqual({
    generated: 4000,
    finishReason: "length",
    policy: "sinks 4 window 252",
  });
  expect(samples).toHaveLength(8);
  const { kvBytes } = await planModel(model, load);
  for (const sample of samples) {
    expect(sample.kvBytes).toBe(kvBytes);
    // 252 tokens, and 16 that can be taken back, begin and end in the middle of pages of 32; the sinks have one more.
    expect(sample.pagesInUse).toBeLessThanOrEqual(11);
  }
  const [, early] = samples;
  const late = samples.at(-1);
  // 3000 tokens of this model's int8 K/V are 6.2 MiB.
  expect((late?.anonymousBytes ?? NaN) - (early?.anonymousBytes ?? NaN)).toBeLessThan(12 * 2 ** 20);
});

test("without a window the same text ends where the K/V does", () => {
  const request = { model, tokens: 4000, every: 500, load: { contextTokens: 512 } };
  const { generated, finishReason } = generateEndless(request);
  expect(finishReason).toBe("length");
  expect(generated).toBeLessThan(512);
});
