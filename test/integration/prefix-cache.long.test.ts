import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { type GenerateOptions, loadModel } from "../../lib/index.js";

const model = fileURLToPath(new URL("../../models/air-tiny-chat-q4_0.gguf", import.meta.url));
const rounds = 9;

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

test("a second request with a prefix of 2000 tokens has its first token at least 20 times sooner", async () => {
  using loaded = await loadModel(model, { contextTokens: 4096, kvTokens: 3 * 4096 });
  const options: GenerateOptions = { maxTokens: 16, ignoreEos: true, speculation: "off" };
  const sentence = "The kettle is on the table, the lamp is in the kitchen. ";
  const perSentence = loaded.tokenizer.encode(sentence, { special: false, bos: false }).length;
  const request = async (prompt: string) => {
    using session = loaded.createSession();
    return await session.generate(prompt, options).result;
  };
  const first: number[] = [];
  const second: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const prefix = `Round ${round}. ${sentence.repeat(Math.ceil(2200 / perSentence))}`;
    const one = await request(`${prefix}Where is it?`);
    const other = await request(`${prefix}What is on the table?`);
    expect(one.reusedTokens).toBeLessThan(32);
    expect(other.reusedTokens).toBeGreaterThanOrEqual(2000);
    first.push(one.timings.timeToFirstTokenMs);
    second.push(other.timings.timeToFirstTokenMs);
    using alone = loaded.createSession({ cacheSalt: `alone ${round}` });
    const expected = await alone.generate(`${prefix}What is on the table?`, options).result;
    expect(other.text).toBe(expected.text);
  }
  const ratio = median(first) / median(second);
  console.log(
    `time to first token, median of ${rounds}: ${median(first).toFixed(1)} ms computed, ` +
      `${median(second).toFixed(2)} ms from the cache, ${ratio.toFixed(1)} times sooner`,
  );
  expect(ratio).toBeGreaterThan(20);
});
