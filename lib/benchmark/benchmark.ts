import type { NativeKvArena } from "../native/native.js";
import { loadModelParts } from "../runtime/load-model.js";
import { Model, type ModelParts } from "../runtime/model.js";
import type { LoadModelOptions } from "../runtime/options.js";
import { measureBandwidth } from "./bandwidth.js";
import { type EnergyMeter, findEnergyMeter } from "./energy.js";
import { ForwardBench, forwardDepth } from "./forward-bench.js";
import { describeMachine } from "./machine.js";
import type { BenchmarkReport, DecodeMeasurement, SpeculationReport } from "./report.js";
import { measureSession, sessionContextTokens } from "./session-bench.js";
import { measureSpeculation } from "./speculation-bench.js";
import { at } from "../util/array-access.js";
import { sum } from "./statistics.js";

/** Options that the benchmark chooses itself, or whose steps it does not make. */
type ChosenOptions =
  | "contextTokens"
  | "kvTokens"
  | "pageTokens"
  | "maxBatchTokens"
  | "window"
  | "sinks"
  | "policy"
  | "heads"
  | "prefixCache";

/** What to measure. */
export interface BenchmarkOptions {
  /** How the model is loaded; the sizes of context and KV cache follow from the rest. */
  readonly load?: Omit<LoadModelOptions, ChosenOptions>;
  /** Tokens of the prefill. Default 512. */
  readonly promptTokens?: number;
  /** Steps of each decode measurement. Default 128. */
  readonly decodeTokens?: number;
  /** Tokens that a sequence has before it decodes alone. Default 0, 2048, 8192. */
  readonly depths?: readonly number[];
  /** Sequences that decode together, from depth 0. Default 1, 2, 4, 8. */
  readonly batches?: readonly number[];
  /** Also compares speculative with target-only generation; drafts come from load.draft and the text itself. */
  readonly speculation?: {
    /** Read as it is, with the texts of control tokens as those tokens. Default: some prose. */
    readonly prompt?: string;
  };
  /** Called with the part done from 0 to 1, loading not included. */
  readonly onProgress?: (fraction: number) => void;
  readonly signal?: AbortSignal;
  /** Default: the one of this machine, if any. */
  readonly energy?: EnergyMeter;
}

interface Settings extends Required<
  Pick<BenchmarkOptions, "promptTokens" | "decodeTokens" | "depths" | "batches">
> {
  /** What is generated with and without speculation, if that is asked for. */
  readonly speculatedPrompt: string | undefined;
}

const pageTokens = 32;
/** One step of decoding, and drafts of 1 to 15 tokens to verify. */
const forwardRows = [1, 2, 4, 8, 16] as const;

/** One token, and a usual draft. */
const draftLengths = [1, 8] as const;

const speculationRounds = 3;
const defaultPrompt =
  "A server that answers many requests at once has to decide which of them may wait. The simplest rule is to take " +
  "them in the order in which they came, but";

/** Tokens of KV cache for the largest measurement. */
function kvTokens({ promptTokens, decodeTokens, depths, batches, speculatedPrompt }: Settings): number {
  const wholePages = (tokens: number): number => Math.ceil(tokens / pageTokens) * pageTokens;
  return Math.max(
    wholePages(promptTokens),
    wholePages(sessionContextTokens(decodeTokens)),
    speculatedPrompt === undefined ? 0 : wholePages(mostTokens(speculatedPrompt) + decodeTokens),
    wholePages(forwardDepth + Math.max(...forwardRows)),
    ...depths.map((depth) => wholePages(depth + decodeTokens)),
    ...batches.map((batch) => batch * wholePages(decodeTokens)),
  );
}

/** No token is less than a byte, apart from a BOS and a space that tokenizers add. */
function mostTokens(text: string): number {
  return Buffer.byteLength(text) + 2;
}

/** Enough rounds for a median, and few where few tokens were asked for. */
function forwardRepeats(decodeTokens: number): number {
  return Math.max(3, Math.min(32, Math.round(decodeTokens / 4)));
}

/** A draft is many steps; medians settle soon. */
function proposeRepeats(decodeTokens: number): number {
  return Math.max(3, Math.min(8, Math.round(decodeTokens / 16)));
}

/** What meters of the host read of a graphics card's work is not what it takes. */
function hostEnergy({ native }: ModelParts): EnergyMeter | undefined {
  return native.device?.isIntegrated === false ? undefined : findEnergyMeter();
}

function kvBytesPerToken({ headGroups, pageTokens: tokens }: NativeKvArena): number {
  return sum(headGroups.map(({ bytesPerPage }) => bytesPerPage)) / tokens;
}

/** Calls the measurements one after the other, reporting progress. */
function progressOf(count: number, onProgress: BenchmarkOptions["onProgress"]) {
  let done = 0;
  return async <Result>(work: Promise<Result>): Promise<Result> => {
    const result = await work;
    done += 1;
    onProgress?.(done / count);
    return result;
  };
}

async function compareSpeculation(
  parts: ModelParts,
  prompt: string,
  tokens: number,
  signal: AbortSignal | undefined,
): Promise<SpeculationReport> {
  const name = parts.draft === undefined ? "ngram" : "ngram and draft model";
  // The parts stay the caller's: the model is dropped without close(), its sessions without pages.
  const measurements = await measureSpeculation(new Model(parts), {
    prompts: [prompt],
    settings: [{ name, speculation: "auto" }],
    rounds: speculationRounds,
    generate: { maxTokens: tokens, special: true, ignoreEos: true, ...(signal && { signal }) },
  });
  return { ...at(measurements, 0), tokens, rounds: speculationRounds };
}

async function measure(
  parts: ModelParts,
  settings: Settings,
  options: BenchmarkOptions,
): Promise<Omit<BenchmarkReport, "machine" | "model">> {
  const { native, arena, info } = parts;
  const { promptTokens, decodeTokens, speculatedPrompt } = settings;
  const { signal, energy = hostEnergy(parts) } = options;
  const depths = [...new Set(settings.depths)].filter((depth) => depth > 0).sort((a, b) => a - b);
  const batches = [...new Set(settings.batches)].filter((batch) => batch > 1).sort((a, b) => a - b);
  const count = 7 + depths.length + batches.length + (speculatedPrompt === undefined ? 0 : 1);
  const step = progressOf(count, options.onProgress);

  const bench = await ForwardBench.create(parts, {
    maxSequences: Math.max(1, ...batches),
    maxRows: Math.max(...forwardRows),
    energy,
    signal,
  });
  const prefill = await step(bench.prefill(promptTokens));
  const forward = await step(bench.forward(forwardRows, forwardRepeats(decodeTokens)));
  const propose = await step(bench.propose(draftLengths, proposeRepeats(decodeTokens)));
  const deeper: DecodeMeasurement[] = [];
  for (const depth of depths) deeper.push(await step(bench.decode(depth, 1, decodeTokens)));
  for (const batch of batches) deeper.push(await step(bench.decode(0, batch, decodeTokens)));
  const session = await step(measureSession(parts, decodeTokens, signal));
  const speculation =
    speculatedPrompt === undefined
      ? undefined
      : await step(compareSpeculation(parts, speculatedPrompt, decodeTokens, signal));
  const peakRssBytes = process.resourceUsage().maxRSS * 1024; // what follows adds only the bandwidth's buffer
  // Shared machines have good and bad moments, so the bandwidth is measured around what it is compared with.
  const before = await step(measureBandwidth(parts));
  const decode = await step(bench.decode(0, 1, decodeTokens));
  const after = await step(measureBandwidth(parts));
  const readGBps = Math.max(before, after);

  const { weightBytes } = native;
  const decodeGBps = weightBytes / (decode.ms.p50 * 1e6);
  return {
    ...(native.device && { device: native.device }),
    results: [prefill, decode, ...deeper, ...forward, ...propose],
    session,
    ...(speculation && { speculation }),
    bandwidth: { readGBps, decodeFraction: decodeGBps / readGBps },
    memory: { weightBytes, kvBytesPerToken: kvBytesPerToken(arena), peakRssBytes },
    packCache: info.packCache,
  };
}

/**
 * Measures how fast this machine runs a model: prefill, decode by depth and batch, steps of several rows, and the
 * public API's cost on top, beside the memory bandwidth that bounds decoding.
 *
 * @throws {AirError} as loadModel(); AIR_ERR_CANCELLED when the signal aborts
 */
export async function runBenchmark(path: string, options: BenchmarkOptions = {}): Promise<BenchmarkReport> {
  const {
    promptTokens = 512,
    decodeTokens = 128,
    depths = [0, 2048, 8192],
    batches = [1, 2, 4, 8],
  } = options;
  const { speculation } = options;
  const speculatedPrompt = speculation && (speculation.prompt ?? defaultPrompt);
  const settings = { promptTokens, decodeTokens, depths, batches, speculatedPrompt };
  const tokens = kvTokens(settings);
  const parts = await loadModelParts(path, {
    ...options.load,
    pageTokens,
    contextTokens: tokens,
    kvTokens: tokens,
    prefixCache: false, // what is measured is computing
  });
  const { addon, runner, arena, native, info } = parts;
  const cancel = (): void => {
    runner.cancel();
  };
  options.signal?.addEventListener("abort", cancel, { once: true });
  try {
    const { name, architecture, parameterCount } = info;
    const measured = await measure(parts, settings, options);
    return { machine: describeMachine(addon), model: { name, architecture, parameterCount }, ...measured };
  } finally {
    options.signal?.removeEventListener("abort", cancel);
    const { draft } = parts;
    const handles = [runner, arena, native, draft?.runner, draft?.arena, draft?.native];
    for (const handle of handles) handle?.close();
  }
}
