import { abortedError } from "../runtime/model-core.js";
import type { ModelParts } from "../runtime/model.js";
import { at } from "../util/array-access.js";
import type { EnergyMeter } from "./energy.js";
import type {
  DecodeMeasurement,
  ForwardMeasurement,
  PrefillMeasurement,
  ProposeMeasurement,
} from "./report.js";
import { percentiles, sum } from "./statistics.js";
import { fillPages, StepRunner, type StepShape } from "./step-runner.js";

/** What a {@link ForwardBench} works with. */
export interface ForwardBenchOptions {
  /** Most sequences of one step. */
  readonly maxSequences: number;
  /** Most rows of one step whose logits are all computed. */
  readonly maxRows: number;
  readonly energy: EnergyMeter | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Depth at which steps of several rows are measured: small, but not empty. */
export const forwardDepth = 64;

const prefillRepeats = 3;

/** Measures forward passes of all shapes, without the layers above the native surface. */
export class ForwardBench {
  readonly #parts: ModelParts;
  readonly #options: ForwardBenchOptions;
  readonly #steps: StepRunner;

  private constructor(parts: ModelParts, options: ForwardBenchOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#steps = new StepRunner(parts, Math.max(options.maxSequences, options.maxRows));
  }

  /** Fills the pages of the arena, whatever they held. */
  static async create(parts: ModelParts, options: ForwardBenchOptions): Promise<ForwardBench> {
    const bench = new ForwardBench(parts, options);
    await fillPages(bench.#steps, parts);
    return bench;
  }

  /** A prompt of `tokens` tokens, in the chunks that the scheduler would make. */
  async prefill(tokens: number): Promise<PrefillMeasurement> {
    const { maxBatchTokens } = this.#parts;
    const chunks = Array.from({ length: Math.ceil(tokens / maxBatchTokens) }, (_, chunk) =>
      this.#shape(1, chunk * maxBatchTokens, Math.min(maxBatchTokens, tokens - chunk * maxBatchTokens)),
    );
    await this.#run(at(chunks, 0)); // pages in what the first pass touches
    const stopMeter = this.#options.energy?.start();
    const promptMs: number[] = [];
    for (let repeat = 0; repeat < prefillRepeats; repeat += 1) {
      let ms = 0;
      for (const chunk of chunks) ms += await this.#run(chunk);
      promptMs.push(ms);
    }
    return {
      test: "prefill",
      tokens,
      ...this.#common(1),
      tokensPerSecond: (promptMs.length * tokens * 1000) / sum(promptMs),
      ms: percentiles(promptMs.map((ms) => ms / tokens)),
      ...joulesPerToken(stopMeter, promptMs.length * tokens),
    };
  }

  /** Steps of one token for each of `batch` sequences, `depth` tokens deep at first. */
  async decode(depth: number, batch: number, steps: number): Promise<DecodeMeasurement> {
    const pagesEach = Math.ceil((depth + steps) / this.#parts.arena.pageTokens);
    const shape = (step: number): StepShape => ({ ...this.#shape(batch, depth + step, 1), pagesEach });
    await this.#run(shape(0));
    const stopMeter = this.#options.energy?.start();
    const stepMs: number[] = [];
    for (let step = 0; step < steps; step += 1) stepMs.push(await this.#run(shape(step)));
    return {
      test: "decode",
      depth,
      ...this.#common(batch),
      tokensPerSecond: (steps * batch * 1000) / sum(stepMs),
      ms: percentiles(stepMs),
      ...joulesPerToken(stopMeter, steps * batch),
    };
  }

  /** Steps of one sequence with each of these numbers of rows in turn, so that all meet the same machine. */
  async forward(rowCounts: readonly number[], repeats: number): Promise<readonly ForwardMeasurement[]> {
    const stepMs = rowCounts.map((): number[] => []);
    for (let repeat = 0; repeat <= repeats; repeat += 1) {
      for (const [index, rows] of rowCounts.entries()) {
        const ms = await this.#run({ ...this.#shape(1, forwardDepth, rows), logits: "all" });
        if (repeat > 0) at(stepMs, index).push(ms); // the first round warms up
      }
    }
    return rowCounts.map((rows, index) => ({
      test: "forward",
      rows,
      ...this.#common(1),
      tokensPerSecond: (repeats * rows * 1000) / sum(at(stepMs, index)),
      ms: percentiles(at(stepMs, index)),
    }));
  }

  /** Drafts of each of these lengths in turn. None reaches past the last page of forwardDepth + 1 tokens. */
  async propose(lengths: readonly number[], repeats: number): Promise<readonly ProposeMeasurement[]> {
    const { signal } = this.#options;
    const draftMs = lengths.map((): number[] => []);
    for (let repeat = 0; repeat <= repeats; repeat += 1) {
      for (const [index, length] of lengths.entries()) {
        if (signal?.aborted === true) throw abortedError(signal);
        const ms = await this.#steps.propose(this.#shape(1, forwardDepth, 1), length);
        if (repeat > 0) at(draftMs, index).push(ms); // the first round warms up
      }
    }
    return lengths.map((tokens, index) => ({
      test: "propose",
      tokens,
      ...this.#common(1),
      tokensPerSecond: (repeats * tokens * 1000) / sum(at(draftMs, index)),
      ms: percentiles(at(draftMs, index)),
    }));
  }

  #common(batch: number) {
    const { kv, threads } = this.#parts.info;
    return { batch, threads, kv: kv.keys === kv.values ? kv.keys : `${kv.keys}/${kv.values}` };
  }

  #shape(sequences: number, cachedTokens: number, newTokens: number): StepShape {
    const pagesEach = Math.ceil((cachedTokens + newTokens) / this.#parts.arena.pageTokens);
    return { sequences, pagesEach, cachedTokens, newTokens, logits: "last" };
  }

  async #run(shape: StepShape): Promise<number> {
    const { signal } = this.#options;
    if (signal?.aborted === true) throw abortedError(signal);
    return this.#steps.run(shape);
  }
}

function joulesPerToken(
  stopMeter: (() => number) | undefined,
  tokens: number,
): { readonly joulesPerToken?: number } {
  return stopMeter === undefined ? {} : { joulesPerToken: stopMeter() / tokens };
}
