// What `air bench` measures, with node-llama-cpp, through its public API:
//   node peer-bench.mjs --model FILE [--threads T] [-p 512] [-n 64] [-d 0] [--kv F16|Q8_0] [--ctx N] [--state FILE]
// -p 0 leaves the prefill out. --state keeps the KV cache of depth -d in a file, so that only the first run computes it.
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import {
  createPeerSequence,
  loadPeerModel,
  nonNegativeInteger,
  peerVersion,
  positiveInteger,
  printAndExit,
  usageError,
} from "./peer.mjs";

/** As many untimed tokens as `air bench` generates before it measures: by then the JavaScript is compiled. */
const warmupTokens = 48;
const prefillRepeats = 3;

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    threads: { type: "string", default: "2" },
    prompt: { type: "string", short: "p", default: "512" },
    tokens: { type: "string", short: "n", default: "64" },
    depth: { type: "string", short: "d", default: "0" },
    kv: { type: "string", default: "F16" },
    ctx: { type: "string" },
    state: { type: "string" },
  },
});
if (values.model === undefined) usageError("expected --model FILE");
if (values.kv !== "F16" && values.kv !== "Q8_0")
  usageError(`expected F16 or Q8_0 for --kv but received ${values.kv}`);
const threads = positiveInteger(values.threads, "--threads");
const promptTokens = nonNegativeInteger(values.prompt, "--prompt");
const decodeTokens = positiveInteger(values.tokens, "--tokens");
const depth = nonNegativeInteger(values.depth, "--depth");
const needed = Math.max(promptTokens, depth + warmupTokens + decodeTokens) + 2;
const contextSize =
  values.ctx === undefined ? needed : Math.max(needed, positiveInteger(values.ctx, "--ctx"));

const started = performance.now();
const model = await loadPeerModel(values.model, { threads });
const sequence = await createPeerSequence(model, {
  threads,
  contextSize,
  batchSize: Math.min(512, contextSize),
  kv: values.kv,
});
const loadMs = performance.now() - started;
const prefillMs = await measurePrefill();
const decodeMs = await measureDecode();

printAndExit({
  peer: peerVersion(),
  threads: sequence.context.currentThreads,
  flashAttention: sequence.context.flashAttention,
  kv: values.kv,
  loadMs,
  ...(promptTokens > 0 && { prefillTokensPerSecond: (prefillMs.length * promptTokens * 1000) / sum(prefillMs) }),
  decodeTokensPerSecond: (decodeMs.length * 1000) / sum(decodeMs),
  memory: { peakRssBytes: process.resourceUsage().maxRSS * 1024 },
});

/** Times of computing a prompt up to its first token, after one that is not counted. */
async function measurePrefill() {
  const times = [];
  for (let repeat = 0; promptTokens > 0 && repeat <= prefillRepeats; repeat++) {
    await sequence.clearHistory();
    const start = performance.now();
    for await (const _token of evaluate(randomTokens(promptTokens, repeat))) break;
    if (repeat > 0) times.push(performance.now() - start);
  }
  return times;
}

/** Times between tokens, from `depth` on. */
async function measureDecode() {
  await sequence.clearHistory();
  if (depth > 0) await reachDepth();
  const times = [];
  let tokens = 0;
  let last = 0;
  for await (const _token of evaluate(randomTokens(1, 0))) {
    const now = performance.now();
    if (tokens > warmupTokens) times.push(now - last);
    last = now;
    tokens++;
    if (tokens > warmupTokens + decodeTokens) break;
  }
  if (times.length < decodeTokens)
    usageError(`expected ${decodeTokens} decoded tokens but received ${times.length}`);
  return times;
}

async function reachDepth() {
  const { state } = values;
  if (state !== undefined && existsSync(state)) {
    await sequence.loadStateFromFile(state, { acceptRisk: true });
    return;
  }
  await sequence.evaluateWithoutGeneratingNewTokens(randomTokens(depth, 0));
  if (state !== undefined) await sequence.saveStateToFile(state);
}

function evaluate(tokens) {
  return sequence.evaluate(tokens, { temperature: 0, yieldEogToken: true });
}

/** Ids drawn by a small generator (Numerical Recipes' constants), the same ones for the same seed. */
function randomTokens(count, seed) {
  const vocabulary = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
  let random = seed + 1;
  return Array.from({ length: count }, () => {
    random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
    return Math.floor((random / 2 ** 32) * vocabulary);
  });
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
