// Streams side by side with node-llama-cpp: as many sequences of one context, which batches what they ask for.
//   node peer-batching.mjs --model FILE --settings FILE --workload FILE
// bench/batching/suite.ts writes settings and workload, and reads what this prints.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { loadPeerModel, peerVersion, printAndExit, tokenizeRaw, usageError } from "./peer.mjs";

/** As bench/batching/ours.ts. */
const quietTokens = 48;
const warmupTokens = 16;
/** Tokens of a context's sequence besides the long prompt. */
const spareTokens = 1024;

const { values } = parseArgs({
  options: { model: { type: "string" }, settings: { type: "string" }, workload: { type: "string" } },
});
if (values.model === undefined || values.settings === undefined || values.workload === undefined)
  usageError("expected --model, --settings and --workload FILE");
const settings = JSON.parse(readFileSync(values.settings, "utf8"));
const workload = JSON.parse(readFileSync(values.workload, "utf8"));
const { threads } = settings;
const model = await loadPeerModel(values.model, { threads });

const throughput = [];
for (const streams of settings.streams) throughput.push(await measureThroughput(streams));
const latency = [];
for (const streams of settings.latencyStreams) latency.push(await measureLatency(streams));
printAndExit({ runtime: peerVersion(), throughput, latency });

/** Runs `work` with so many sequences of a context of their own. */
async function withSequences(count, contextSize, work) {
  const context = await model.createContext({
    sequences: count,
    contextSize,
    batchSize: 512,
    threads: { ideal: threads, min: threads },
  });
  try {
    return await work(Array.from({ length: count }, () => context.getSequence()));
  } finally {
    await context.dispose();
  }
}

/** Greedy tokens until `onToken` returns false. */
async function generate(sequence, prompt, onToken) {
  let tokens = 0;
  for await (const _token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    tokens++;
    if (onToken(tokens) === false) break;
  }
  return tokens;
}

/** Tokens and milliseconds from when every stream had its first token to the last token of all. */
async function generateAll(sequences, tokens) {
  let before = 0;
  let begun = 0;
  let allBegunMs = NaN;
  const counts = await Promise.all(
    sequences.map((sequence, index) =>
      generate(sequence, tokenizeRaw(model, workload.streams[index]), (count) => {
        if (count === 1 && ++begun === sequences.length) allBegunMs = performance.now();
        if (begun < sequences.length || count === 1) before++;
        return count < tokens;
      }),
    ),
  );
  if (counts.some((count) => count !== tokens)) usageError(`expected ${tokens} tokens but received ${counts}`);
  return { tokens: sequences.length * tokens - before, ms: performance.now() - allBegunMs };
}

async function measureThroughput(streams) {
  return withSequences(streams, spareTokens, async (sequences) => {
    await generateAll(sequences.slice(0, 1), warmupTokens * 2);
    await sequences[0].clearHistory();
    const started = performance.now();
    const decoded = await generateAll(sequences, settings.tokens);
    const ms = performance.now() - started;
    const tokens = streams * settings.tokens;
    const decodeTokensPerSecond = (decoded.tokens * 1000) / decoded.ms;
    return { streams, tokens, ms, tokensPerSecond: (tokens * 1000) / ms, decodeTokensPerSecond };
  });
}

async function measureLatency(streams) {
  return withSequences(streams + 1, settings.longTokens + spareTokens, async (sequences) => {
    const quietMs = [];
    const loadedMs = [];
    let isLoaded = false;
    let isOver = false;
    let ready = 0;
    let allReady;
    const quiet = new Promise((resolve) => (allReady = resolve));
    const done = sequences.slice(1).map((sequence, index) => {
      let last = 0;
      return generate(sequence, tokenizeRaw(model, workload.streams[index]), (tokens) => {
        const now = performance.now();
        if (tokens > warmupTokens) (isLoaded ? loadedMs : quietMs).push(now - last);
        last = now;
        if (tokens === warmupTokens + quietTokens && ++ready === streams) allReady();
        return !isOver;
      });
    });
    await quiet;
    isLoaded = true;
    const started = performance.now();
    await generate(sequences[0], tokenizeRaw(model, workload.long).slice(0, settings.longTokens), () => false);
    const firstTokenMs = performance.now() - started;
    isOver = true;
    await Promise.all(done);
    return { streams, longTokens: settings.longTokens, quietMs, loadedMs, firstTokenMs };
  });
}
