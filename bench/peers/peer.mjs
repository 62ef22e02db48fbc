// node-llama-cpp on the CPU as the scripts of this folder use it: prebuilt binary, silent, fixed threads.
import { readFileSync } from "node:fs";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

/**
 * Loads a GGUF with its vocabulary only (`tokenizerOnly`) or whole.
 * @param {string} modelPath
 * @param {{ threads?: number, tokenizerOnly?: boolean }} [options]
 */
export async function loadPeerModel(modelPath, { threads = 1, tokenizerOnly = false } = {}) {
  const llama = await getLlama({
    gpu: false,
    build: "never",
    progressLogs: false,
    logLevel: LlamaLogLevel.error,
    maxThreads: threads,
  });
  return llama.loadModel({ modelPath, gpuLayers: 0, ...(tokenizerOnly && { vocabOnly: true }) });
}

/**
 * A sequence with one batch of up to `batchSize` tokens. A quantised KV cache needs flash attention.
 * @param {import("node-llama-cpp").LlamaModel} model
 * @param {{ contextSize: number, batchSize: number, threads: number, kv?: "F16" | "Q8_0" }} options
 */
export async function createPeerSequence(model, { contextSize, batchSize, threads, kv = "F16" }) {
  const context = await model.createContext({
    contextSize,
    batchSize,
    threads: { ideal: threads, min: threads },
    experimentalKvCacheKeyType: kv,
    experimentalKvCacheValueType: kv,
    ...(kv !== "F16" && { flashAttention: true }),
  });
  return context.getSequence();
}

/**
 * Ids of text without special tokens, after BOS where the model asks for one.
 * @param {import("node-llama-cpp").LlamaModel} model
 * @param {string} text
 */
export function tokenizeRaw(model, text) {
  const ids = model.tokenize(text, false);
  const bos = model.tokens.bos;
  return model.tokens.shouldPrependBosToken && bos !== null ? [bos, ...ids] : ids;
}

/** Name and version of the peer, for result files. */
export function peerVersion() {
  const manifest = new URL("./node_modules/node-llama-cpp/package.json", import.meta.url);
  const { name, version } = JSON.parse(readFileSync(manifest, "utf8"));
  return `${name} ${version}`;
}

/** Prints one JSON object and ends the process, which the peer's threads would otherwise keep alive for a while. */
export function printAndExit(result) {
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}

/** `text` as a positive integer; a usage error otherwise. */
export function positiveInteger(text, option) {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value <= 0)
    usageError(`expected a positive integer for ${option} but received ${text}`);
  return value;
}

/** `text` as an integer of at least 0; a usage error otherwise. */
export function nonNegativeInteger(text, option) {
  return text === "0" ? 0 : positiveInteger(text, option);
}

/** Reports a mistake on the command line and exits with status 2. */
export function usageError(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}
