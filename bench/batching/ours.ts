/**
 * Streams side by side on air-runtime; suite.ts runs it beside bench/peers/peer-batching.mjs.
 *
 *   npx tsx bench/batching/ours.ts --model FILE --settings FILE --workload FILE [--speculation auto] [--draft FILE]
 *       [--stretch 2]
 */
import { readFileSync } from "node:fs";
import { stdout } from "node:process";
import { parseArgs } from "node:util";

import { invalidArgument } from "../../lib/errors/air-error.js";
import { type GenerateOptions, loadModel } from "../../lib/index.js";
import type { BatchingSettings, LatencyRow, MeasuredBatching, ThroughputRow } from "./measured.js";
import type { Workload } from "./workload.js";

/** Tokens of each stream before anything is timed, and as long as the quiet is measured. */
const quietTokens = 48;
const warmupTokens = 16;

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    settings: { type: "string" },
    workload: { type: "string" },
    speculation: { type: "string", default: "off" },
    draft: { type: "string" },
    stretch: { type: "string" },
  },
});
const { model: file, speculation, draft, stretch } = values;
if (file === undefined) throw invalidArgument("--model", "a GGUF file", file);
if (speculation !== "off" && speculation !== "auto")
  throw invalidArgument("--speculation", "off or auto", speculation);
const settings = readJson("--settings", values.settings) as BatchingSettings;
const workload = readJson("--workload", values.workload) as Workload;
const mostStreams = Math.max(...settings.streams, ...settings.latencyStreams);
const contextTokens = settings.longTokens + 1024;
const base: GenerateOptions = { ignoreEos: true, speculation };

using model = await loadModel(file, {
  threads: settings.threads,
  contextTokens,
  kvTokens: contextTokens + mostStreams * 1024,
  prefixCache: false,
  kv: "f16", // as the peer's
  force: true,
  ...(draft !== undefined && { draft }),
  ...(stretch !== undefined && { stepStretch: Number(stretch) }),
});
await generateAll(1, warmupTokens * 2);
const throughput: ThroughputRow[] = [];
for (const streams of settings.streams) throughput.push(await measureThroughput(streams));
const latency: LatencyRow[] = [];
for (const streams of settings.latencyStreams) latency.push(await measureLatency(streams));
const measured: MeasuredBatching = { runtime: "air-runtime", throughput, latency };
stdout.write(`${JSON.stringify(measured)}\n`);

function readJson(option: string, path: string | undefined): unknown {
  if (path === undefined) throw invalidArgument(option, "a JSON file", path);
  return JSON.parse(readFileSync(path, "utf8"));
}

/** Tokens and milliseconds from when every stream had its first token to the last token of all. */
async function generateAll(
  streams: number,
  tokens: number,
): Promise<{ readonly tokens: number; readonly ms: number }> {
  let before = 0;
  let begun = 0;
  let allBegunMs = NaN;
  await Promise.all(
    workload.streams.slice(0, streams).map(async (prompt) => {
      using session = model.createSession();
      let own = 0;
      for await (const chunk of session.generate(prompt, { ...base, maxTokens: tokens })) {
        if (own === 0 && (begun += 1) === streams) allBegunMs = performance.now();
        own += chunk.tokens.length;
        if (begun < streams || own === chunk.tokens.length) before += chunk.tokens.length;
      }
    }),
  );
  return { tokens: streams * tokens - before, ms: performance.now() - allBegunMs };
}

async function measureThroughput(streams: number): Promise<ThroughputRow> {
  const started = performance.now();
  const decoded = await generateAll(streams, settings.tokens);
  const ms = performance.now() - started;
  const tokens = streams * settings.tokens;
  const decodeTokensPerSecond = (decoded.tokens * 1000) / decoded.ms;
  return { streams, tokens, ms, tokensPerSecond: (tokens * 1000) / ms, decodeTokensPerSecond };
}

/** Streams run until the long prompt has its first token; it comes once each had its quiet tokens. */
async function measureLatency(streams: number): Promise<LatencyRow> {
  const quietMs: number[] = [];
  const loadedMs: number[] = [];
  const phase = { isLoaded: false, isOver: false };
  let ready = 0;
  let allReady = (): void => undefined;
  const quiet = new Promise<void>((resolve) => {
    allReady = resolve;
  });
  const stream = async (prompt: string): Promise<void> => {
    using session = model.createSession();
    let last = 0;
    let tokens = 0;
    for await (const chunk of session.generate(prompt, base)) {
      const now = performance.now();
      tokens += chunk.tokens.length;
      if (tokens > warmupTokens) (phase.isLoaded ? loadedMs : quietMs).push(now - last);
      last = now;
      if (tokens === warmupTokens + quietTokens && (ready += 1) === streams) allReady();
      if (phase.isOver) break;
    }
  };
  const done = workload.streams.slice(0, streams).map(stream);
  await quiet;
  phase.isLoaded = true;
  const firstTokenMs = await firstTokenOfLongPrompt();
  phase.isOver = true;
  await Promise.all(done);
  return { streams, longTokens: settings.longTokens, quietMs, loadedMs, firstTokenMs };
}

async function firstTokenOfLongPrompt(): Promise<number> {
  using session = model.createSession();
  const started = performance.now();
  await session.generate(longPrompt(), { ...base, maxTokens: 1 }).result;
  return performance.now() - started;
}

/** The beginning of the long text that has as many tokens as wanted, give or take what a cut changes. */
function longPrompt(): string {
  const ids = model.tokenizer.encode(workload.long);
  return model.tokenizer.decode(ids.subarray(0, settings.longTokens));
}
