// Generates a long text and prints, every so many tokens, what the process takes, as one JSON object. endless.ts and tests
// run it, each time in a process of its own: node --expose-gc generate-endless.mjs '{"model": "m.gguf", "tokens": 4000}'
import { readFileSync } from "node:fs";
import { loadModel } from "../../dist/index.js";

const { model: file, tokens, every = 2000, load = {}, seed = 1 } = JSON.parse(process.argv[2]);
const status = () => readFileSync("/proc/self/status", "utf8");
const bytesOf = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status())[1]) * 1024;

const model = await loadModel(file, load);
const session = model.createSession();
const generation = session.generate("Once there was a program that", {
  maxTokens: tokens,
  temperature: 1,
  seed,
  ignoreEos: true,
  speculation: "off",
});
const samples = [];
let generated = 0;
for await (const chunk of generation) {
  const before = generated;
  generated += chunk.tokens.length;
  if (Math.floor(generated / every) === Math.floor(before / every)) continue;
  globalThis.gc?.();
  const { freePages, usablePages } = model.stats;
  samples.push({
    tokens: generated,
    rssBytes: bytesOf("VmRSS"),
    anonymousBytes: bytesOf("RssAnon"),
    heapBytes: process.memoryUsage().heapUsed + process.memoryUsage().external,
    kvBytes: model.memory().kvBytes,
    pagesInUse: usablePages - freePages,
  });
}
const { timings, finishReason } = await generation.result;
const report = {
  generated,
  finishReason,
  samples,
  peakRssBytes: bytesOf("VmHWM"),
  decodeTokensPerSecond: timings.decodeTokensPerSecond,
  policy: model.info.policy,
};
process.stdout.write(`${JSON.stringify(report)}\n`);
model.close();
