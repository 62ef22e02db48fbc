import type { LoadedDevice, PackCacheReport } from "../native/native.js";
import type { MachineInfo } from "./machine.js";
import type { SpeculationMeasurement } from "./speculation-bench.js";
import type { Percentiles } from "./statistics.js";

interface Measurement {
  /** Sequences that share each step. */
  readonly batch: number;
  readonly threads: number;
  /** Precision of the KV cache; keys and values as `int8/int4` where they differ. */
  readonly kv: string;
  /** Tokens of all sequences over the time of all repetitions. */
  readonly tokensPerSecond: number;
  /** Where the machine reports its energy. */
  readonly joulesPerToken?: number;
}

/** A prompt, computed in chunks; logits of its last token only. */
export interface PrefillMeasurement extends Measurement {
  readonly test: "prefill";
  readonly tokens: number;
  /** Per token of the prompt. */
  readonly ms: Percentiles;
}

/** Steps of one token per sequence, each sequence having `depth` tokens before the first step. */
export interface DecodeMeasurement extends Measurement {
  readonly test: "decode";
  readonly depth: number;
  /** Per step, which is the time that each sequence waits for a token. */
  readonly ms: Percentiles;
}

/** One step of `rows` tokens of one sequence, with the logits of all of them: what verifying a draft costs. */
export interface ForwardMeasurement extends Measurement {
  readonly test: "forward";
  readonly rows: number;
  /** Per step. */
  readonly ms: Percentiles;
}

/** Drafting: the likeliest tokens of one sequence, fed back for `tokens` steps in one call. */
export interface ProposeMeasurement extends Measurement {
  readonly test: "propose";
  readonly tokens: number;
  /** Per draft. */
  readonly ms: Percentiles;
}

/** One measurement of the forward pass, without sampling. */
export type BenchmarkResult =
  PrefillMeasurement | DecodeMeasurement | ForwardMeasurement | ProposeMeasurement;

/** Greedy decoding by session.generate(), as a program sees it. */
export interface SessionMeasurement {
  readonly tokensPerSecond: number;
  /** Per token. */
  readonly ms: Percentiles;
  /** Median time of a token outside the forward pass: scheduling, Node-API, sampling, text. */
  readonly overheadMs: number;
}

/** Speculative against target-only generation of one prompt, greedily. */
export interface SpeculationReport extends SpeculationMeasurement {
  /** Tokens of each generation. */
  readonly tokens: number;
  readonly rounds: number;
}

/** What `air bench` prints with --json. */
export interface BenchmarkReport {
  readonly machine: MachineInfo;
  readonly model: { readonly name: string; readonly architecture: string; readonly parameterCount: number };
  /** The CUDA device that computed, if one did. */
  readonly device?: LoadedDevice;
  readonly results: readonly BenchmarkResult[];
  readonly session: SessionMeasurement;
  /** Where a way to draft was named. */
  readonly speculation?: SpeculationReport;
  readonly bandwidth: {
    /** Memory that the same threads read, or of the device, in 10^9 bytes per second. */
    readonly readGBps: number;
    /** Weight bytes over the median time of a decode step (depth 0, batch 1), over readGBps. */
    readonly decodeFraction: number;
  };
  readonly memory: {
    readonly weightBytes: number;
    /** Keys and values of one token; decoding at a depth reads as many per token before it. */
    readonly kvBytesPerToken: number;
    /** Before the bandwidth was measured, whose buffer is no part of running a model. */
    readonly peakRssBytes: number;
  };
  /** Undefined without a pack cache. */
  readonly packCache: PackCacheReport | undefined;
}
