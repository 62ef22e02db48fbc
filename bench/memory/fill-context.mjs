// Loads a model, fills the contexts of some sequences with tokens from all over the vocabulary, and prints what Linux says
// about the process's memory as one JSON object. run-fill-context.ts runs it, each time in a process of its own.
//   node bench/memory/fill-context.mjs '{"model": "m.gguf", "sequences": 2, "load": {"contextTokens": 512}}'
// `load` are options of loadModel(), such as kv, heads, window and packCache; contextTokens has to be there.
import { readFileSync } from "node:fs";
import { clearInterval, setInterval } from "node:timers";
import { loadModel } from "../../dist/index.js";

const { model: file, sequences, load } = JSON.parse(process.argv[2]);
const model = await loadModel(file, {
  // One text needs no kvTokens, which would also size the pages of a window.
  ...(sequences > 1 && { kvTokens: sequences * Math.ceil(load.contextTokens / 32) * 32 }),
  ...load,
  force: true,
});
const { vocabSize, contextTokens } = model.info;
const tokens = Int32Array.from({ length: contextTokens }, (_, i) =>
  Math.floor((i * vocabSize) / contextTokens),
);
const status = () => readFileSync("/proc/self/status", "utf8");
const bytesOf = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status())[1]) * 1024;
const samples = [];
const sample = () => {
  const { computedTokens } = model.stats;
  if (computedTokens === (samples.at(-1)?.computedTokens ?? 0)) return;
  samples.push({ computedTokens, rssBytes: bytesOf("VmRSS"), anonymousBytes: bytesOf("RssAnon") });
};
const sampling = setInterval(sample, 20);
const filled = Array.from({ length: sequences }, () =>
  model.evaluate(tokens, { logitsFrom: contextTokens - 1, onRow: () => undefined }),
);
await Promise.all(filled);
clearInterval(sampling);
sample();

const report = {
  rssBytes: bytesOf("VmRSS"),
  peakRssBytes: bytesOf("VmHWM"),
  anonymousBytes: bytesOf("RssAnon"),
  fileBytes: bytesOf("RssFile"),
  sharedBytes: bytesOf("RssShmem"),
  // On the way there, all texts together.
  samples,
  threads: model.info.threads,
  memory: model.memory(),
};
process.stdout.write(`${JSON.stringify(report)}\n`);
model.close();
