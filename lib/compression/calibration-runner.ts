import type { SinkWindowOptions } from "../cache/sink-window.js";
import { AirError } from "../errors/air-error.js";
import { headMaskOf } from "../model/heads-file.js";
import type {
  Activity,
  Batch,
  DecoderSpec,
  KvType,
  NativeAddon,
  NativeKvArena,
  NativeModel,
  NativeRunner,
  SharedFloats,
  ThreadOptions,
} from "../native/native.js";
import { threadOptionNames } from "../runtime/options.js";
import { pickGiven } from "../util/options.js";
import { classesOf, type HeadSelection } from "./head-selection.js";

/** What a {@link CalibrationRunner} works with. */
export interface CalibrationModel {
  readonly addon: NativeAddon;
  readonly native: NativeModel;
  readonly spec: DecoderSpec;
}

export interface CalibrationRunnerOptions extends ThreadOptions {
  /** Longest text. */
  readonly contextTokens: number;
  /** What streamed heads read. */
  readonly window: SinkWindowOptions;
  readonly keyType: KvType;
  readonly valueType: KvType;
  /** See CreateArenaOptions. */
  readonly rotateKeys: boolean;
}

/** Takes the logits after the token with this index. The row is valid during the call. */
export type RowReader = (row: Float32Array, index: number) => void;

const pageTokens = 64;
const chunkTokens = 512;
const maxLogitsBytes = 64 * 2 ** 20;

/** An arena with the runner on it. */
interface Stage {
  readonly arena: NativeKvArena;
  readonly runner: NativeRunner;
}

/**
 * Computes texts with some heads masked or windowed, without loading the model anew. Nothing is dropped from its pages:
 * what a window hides is merely not read, which gives the same logits.
 */
export class CalibrationRunner {
  readonly #model: CalibrationModel;
  readonly #options: CalibrationRunnerOptions;
  readonly #chunkTokens: number;
  #stage: (Stage & { readonly key: string }) | undefined;
  #logits: SharedFloats;

  constructor(model: CalibrationModel, options: CalibrationRunnerOptions) {
    this.#model = model;
    this.#options = options;
    const rowBytes = model.spec.vocabSize * Float32Array.BYTES_PER_ELEMENT;
    this.#chunkTokens = Math.max(1, Math.min(chunkTokens, Math.floor(maxLogitsBytes / rowBytes)));
    this.#logits = model.addon.allocateShared(model.spec.vocabSize);
  }

  /**
   * Computes one text from its start.
   *
   * @param rows - indices of the tokens whose logits are wanted, ascending
   * @param activity - adds up what heads and channels contribute; takes the logits of all tokens and no masked heads
   */
  async run(
    tokens: Int32Array,
    selection: HeadSelection,
    rows: readonly number[],
    onRow: RowReader,
    activity?: Activity,
  ): Promise<void> {
    const { runner } = this.#stageFor(selection);
    const { vocabSize } = this.#model.spec;
    const gates = this.#gates(selection);
    let next = 0; // of rows
    for (let start = 0; start < tokens.length; start += this.#chunkTokens) {
      const end = Math.min(tokens.length, start + this.#chunkTokens);
      const first = next;
      while (next < rows.length && (rows[next] ?? 0) < end) next += 1;
      const wanted = rows.slice(first, next);
      const logits = this.#logitsFor(wanted.length);
      const batch = this.#batch(tokens, start, end, wanted);
      const output = { logits, ...(activity && { activity }) };
      await runner.forward({ ...batch, ...(gates && { queryGates: gates }) }, output);
      for (const [order, index] of wanted.entries()) {
        onRow(logits.subarray(order * vocabSize, (order + 1) * vocabSize), index);
      }
    }
  }

  /** Frees arena and runner; the model stays the caller's. */
  close(): void {
    this.#stage?.runner.close();
    this.#stage?.arena.close();
    this.#stage = undefined;
  }

  /** The arena for the classes of the KV heads; the last one is kept, because many selections have the same. */
  #stageFor(selection: HeadSelection): Stage {
    const headMask = headMaskOf({ kvHeads: classesOf(selection, this.#model.spec) });
    const key = headMask.join(",");
    if (this.#stage?.key === key) return this.#stage;
    this.close();
    const { addon, native } = this.#model;
    const { contextTokens, keyType, valueType, rotateKeys } = this.#options;
    const pages = Math.ceil(contextTokens / pageTokens) + 1;
    const arena = addon.createArena(native, {
      headMask,
      pageTokens,
      pageCounts: [pages, pages],
      keyType,
      valueType,
      rotateKeys,
    });
    try {
      const runner = addon.createRunner(native, arena, {
        maxTokens: this.#chunkTokens,
        maxSequences: 1,
        ...pickGiven(this.#options, threadOptionNames),
      });
      this.#stage = { arena, runner, key };
      return this.#stage;
    } catch (error) {
      arena.close();
      throw error;
    }
  }

  #gates({ masked }: HeadSelection): Uint8Array | undefined {
    if (masked.size === 0) return undefined;
    const { layers, queryHeads } = this.#model.spec;
    const gates = new Uint8Array(layers * queryHeads).fill(1);
    for (const head of masked) gates[head] = 0;
    return gates;
  }

  #logitsFor(rows: number): SharedFloats {
    const length = rows * this.#model.spec.vocabSize;
    if (this.#logits.length < length) this.#logits = this.#model.addon.allocateShared(length);
    return this.#logits.subarray(0, length);
  }

  /** Tokens [start, end) of a text whose pages are 1, 2, ... in both head groups. */
  #batch(tokens: Int32Array, start: number, end: number, rows: readonly number[]): Batch {
    const { windowTokens, sinkTokens } = this.#options.window;
    if (end > this.#options.contextTokens) {
      throw new AirError(
        "AIR_ERR_INTERNAL",
        `expected ${this.#options.contextTokens} tokens but received ${end}`,
      );
    }
    const count = end - start;
    const positions = Int32Array.from({ length: count }, (_, index) => start + index);
    const slots = positions.map((position) => pageTokens + position); // page 1 is the first
    const pages = Int32Array.from({ length: Math.ceil(end / pageTokens) }, (_, order) => order + 1);
    const isBeyond = end > windowTokens + sinkTokens;
    return {
      tokens: tokens.subarray(start, end),
      positions,
      slots: Int32Array.from([...slots, ...slots]),
      sequenceStarts: Int32Array.of(0, count),
      pageTables: Int32Array.from([...pages, ...pages]),
      contextLengths: Int32Array.of(end, end),
      logitRows: Int32Array.from(rows, (row) => row - start),
      sinkTokens: Int32Array.of(0, isBeyond ? sinkTokens : 0),
      windowTokens: Int32Array.of(0, isBeyond ? windowTokens : 0),
    };
  }
}
