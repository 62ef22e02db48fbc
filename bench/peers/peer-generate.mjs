// Greedy generation with node-llama-cpp: node peer-generate.mjs --model FILE [--threads T] [-n N] PROMPT
import { parseArgs } from "node:util";
import {
  createPeerSequence,
  loadPeerModel,
  peerVersion,
  positiveInteger,
  printAndExit,
  tokenizeRaw,
  usageError,
} from "./peer.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: "string" },
    threads: { type: "string", default: "2" },
    tokens: { type: "string", short: "n", default: "64" },
    batch: { type: "string", default: "512" },
  },
});
if (values.model === undefined || positionals.length !== 1)
  usageError("expected --model FILE and one PROMPT");
const threads = positiveInteger(values.threads, "--threads");
const maxTokens = positiveInteger(values.tokens, "--tokens");

const started = performance.now();
const model = await loadPeerModel(values.model, { threads });
const prompt = tokenizeRaw(model, positionals[0]);
const sequence = await createPeerSequence(model, {
  threads,
  contextSize: prompt.length + maxTokens + 1,
  batchSize: Math.min(positiveInteger(values.batch, "--batch"), prompt.length + maxTokens),
});
const loadMs = performance.now() - started;

// The first token arrives when the prompt has been evaluated; the rest are decode steps of one token.
const tokens = [];
const promptStarted = performance.now();
let firstTokenAt = promptStarted;
for await (const token of sequence.evaluate(prompt)) {
  tokens.push(token);
  if (tokens.length === 1) firstTokenAt = performance.now();
  if (tokens.length === maxTokens) break;
}
const finishedAt = performance.now();

printAndExit({
  peer: peerVersion(),
  threads: sequence.context.currentThreads,
  flashAttention: sequence.context.flashAttention,
  text: model.detokenize(tokens),
  tokens,
  promptTokens: prompt.length,
  finishReason: tokens.length < maxTokens ? "stop" : "length",
  timings: {
    loadMs,
    timeToFirstTokenMs: firstTokenAt - promptStarted,
    prefillTokensPerSecond: prompt.length / ((firstTokenAt - promptStarted) / 1000),
    decodeTokensPerSecond: (tokens.length - 1) / ((finishedAt - firstTokenAt) / 1000),
  },
  memory: { peakRssBytes: process.resourceUsage().maxRSS * 1024 },
});
