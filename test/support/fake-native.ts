/**
 * A NativeAddon in plain JavaScript. Its "model" hashes what a token sees of the arena through page tables, windows
 * and sinks, and draws the logits from the hash: a wrong slot, table, position or length changes the text.
 */
import { AirNativeError } from "../../lib/errors/air-error.js";
import type {
  Batch,
  Capabilities,
  CreateArenaOptions,
  CreateRunnerOptions,
  DecoderSpec,
  ForwardOutput,
  ForwardStats,
  NativeAddon,
  NativeErrorCode,
  NativeKvArena,
  NativeModel,
  NativeRunner,
  NativeTensorDirectory,
  PackCacheReport,
  ProposeOptions,
  ProposeResult,
  SharedFloats,
} from "../../lib/native/native.js";
import { FakeRowOps } from "./fake-row-ops.js";

const fakeRowOps = new FakeRowOps();

function fail(code: NativeErrorCode, message: string): never {
  throw new AirNativeError(code, message);
}

/** 32-bit mixing step (the finaliser of MurmurHash3). */
function mix(hash: number, value: number): number {
  let h = Math.imul(hash ^ value, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** One stored K/V entry; token -1 was never written. */
interface Entry {
  readonly token: number;
  readonly position: number;
}
const unwritten: Entry = { token: -1, position: -1 };

class FakeModel implements NativeModel {
  readonly backend = "cpu";
  readonly weightBytes = 1000;
  readonly mappedBytes = 100;
  readonly conversions = [];
  readonly packCache: PackCacheReport | undefined;
  closed = false;
  constructor(
    readonly spec: DecoderSpec,
    readonly isDraft: boolean,
  ) {}
  close(): void {
    this.closed = true;
  }
}

class FakeArena implements NativeKvArena {
  readonly pageTokens: number;
  readonly headGroups: readonly { readonly pageCount: number; readonly bytesPerPage: number }[];
  readonly bytes: number;
  readonly entries: Entry[][];
  closed = false;
  constructor(options: CreateArenaOptions) {
    this.pageTokens = options.pageTokens;
    this.headGroups = options.pageCounts.map((pageCount) => ({
      pageCount,
      bytesPerPage: options.pageTokens * 8,
    }));
    this.bytes = this.headGroups.reduce((sum, group) => sum + group.pageCount * group.bytesPerPage, 0);
    this.entries = options.pageCounts.map((pages) =>
      Array.from({ length: pages * options.pageTokens }, () => unwritten),
    );
  }
  copyPages(headGroup: number, src: Int32Array, dst: Int32Array): void {
    const entries = this.entries[headGroup] ?? fail("AIR_ERR_PAGE_RANGE", "expected a head group");
    expectLength("dst", dst, src.length);
    for (const [index, page] of dst.entries()) {
      const from = (src[index] ?? 0) * this.pageTokens;
      entries.splice(page * this.pageTokens, this.pageTokens, ...entries.slice(from, from + this.pageTokens));
    }
  }
  close(): void {
    this.closed = true;
  }
}

/** What a test can watch and steer. */
export interface FakeControls {
  /** Batches seen, with copied arrays. */
  readonly batches: Batch[];
  /** Runs before each forward; may throw to fail the step. */
  beforeForward?: (batch: Batch) => void;
  /** When set, a forward settles only after this promise. */
  gate?: Promise<void>;
  /** Rows of these token ids come out as NaN. */
  readonly poisonedTokens: Set<number>;
  /** Handles that are still open. */
  openHandles(): number;
  /** Calls of runner.cancel() that met a forward. */
  cancels: number;
  /** Runners closed in the middle of a forward. */
  closesInFlight: number;
}

function expectLength(name: string, array: ArrayLike<number>, length: number): void {
  if (array.length !== length) {
    fail("AIR_ERR_SHAPE", `expected ${length} elements for ${name} but received ${array.length}`);
  }
}

class FakeRunner implements NativeRunner {
  readonly threads = 1;
  readonly workspaceBytes = 10;
  closed = false;
  #inFlight = false;
  #cancelled = false;

  constructor(
    readonly model: FakeModel,
    readonly arena: FakeArena,
    readonly options: CreateRunnerOptions,
    readonly controls: FakeControls,
  ) {}

  async forward(batch: Batch, output: ForwardOutput): Promise<ForwardStats> {
    await this.compute(batch, output);
    return { computeMicros: 1 };
  }

  /** @param spare - by sequence: tokens past the context length that the page tables have pages for */
  private async compute(batch: Batch, output: ForwardOutput, spare?: readonly number[]): Promise<void> {
    if (this.closed || this.arena.closed || this.model.closed)
      fail("AIR_ERR_CLOSED", "expected an open runner");
    if (this.#inFlight)
      fail("AIR_ERR_BUSY", "expected an idle runner for forward but received a second call");
    this.#inFlight = true;
    this.#cancelled = false;
    const copy = copyBatch(batch);
    try {
      this.controls.beforeForward?.(copy);
      this.check(copy, output, spare);
      this.write(copy);
      if (this.controls.gate !== undefined) {
        await Promise.race([this.controls.gate, this.untilCancelled()]);
      } else await new Promise((resolve) => setImmediate(resolve));
      if (this.#isCancelled()) {
        this.scribble(copy);
        fail("AIR_ERR_CANCELLED", "expected no cancel for the forward but received one");
      }
      this.controls.batches.push(copy);
      this.writeLogits(copy, output.logits);
    } finally {
      this.#inFlight = false;
    }
  }

  forwardSync(batch: Batch, output: ForwardOutput): ForwardStats {
    this.check(batch, output);
    this.write(batch);
    this.writeLogits(batch, output.logits);
    return { computeMicros: 1 };
  }

  async propose(batch: Batch, { counts, minConfidence }: ProposeOptions): Promise<ProposeResult> {
    const { vocabSize } = this.model.spec;
    const width = Math.max(...counts);
    const tokens = new Int32Array(counts.length * width).fill(-1);
    const confidence = new Float32Array(counts.length * width);
    const products = Array.from(counts, () => 1);
    let step = copyBatch(batch);
    let active = Array.from(counts.keys());
    for (let place = 0; active.length > 0; place += 1) {
      const logits = new Float32Array(new SharedArrayBuffer(active.length * vocabSize * 4));
      await this.compute(
        step,
        { logits },
        Array.from(active, (s) => (counts[s] ?? 0) - 1 - place),
      );
      const ids = new Int32Array(active.length);
      fakeRowOps.argmaxRows(logits, vocabSize, ids);
      fakeRowOps.softmaxRows(logits, vocabSize, 1);
      const goingOn = active.filter((s, order) => {
        const probability = logits[order * vocabSize + (ids[order] ?? 0)] ?? 0;
        tokens[s * width + place] = ids[order] ?? 0;
        confidence[s * width + place] = probability;
        products[s] = (products[s] ?? 0) * probability;
        return place + 1 < (counts[s] ?? 0) && (products[s] ?? 0) >= minConfidence;
      });
      if (goingOn.length > 0) step = this.nextStep(batch, goingOn, tokens, width, place);
      active = goingOn;
    }
    return { computeMicros: 1, tokens, confidence };
  }

  /** The step that feeds each sequence its token at `place`. */
  private nextStep(
    first: Batch,
    sequences: readonly number[],
    drafted: Int32Array,
    width: number,
    place: number,
  ): Batch {
    const count = first.sequenceStarts.length - 1;
    const maxPages = first.pageTables.length / (this.groups * count);
    const cells = Array.from({ length: this.groups }, (_, group) =>
      sequences.map((s) => group * count + s),
    ).flat();
    const contextLengths = cells.map((cell) => (first.contextLengths[cell] ?? 0) + place + 1);
    const pageTables = cells.map((cell) => first.pageTables.subarray(cell * maxPages, (cell + 1) * maxPages));
    const pick = (field: Int32Array | undefined) =>
      field && Int32Array.from(cells, (cell) => field[cell] ?? 0);
    const [sinkTokens, sinkShifts, windowStarts] = [
      first.sinkTokens,
      first.sinkShifts,
      first.windowStarts,
    ].map(pick);
    return {
      tokens: Int32Array.from(sequences, (s) => drafted[s * width + place] ?? 0),
      positions: Int32Array.from(
        sequences,
        (s) => (first.positions[(first.sequenceStarts[s + 1] ?? 0) - 1] ?? 0) + place + 1,
      ),
      slots: Int32Array.from(cells, (_, index) => {
        const last = (contextLengths[index] ?? 0) - 1;
        const page = pageTables[index]?.[Math.floor(last / this.arena.pageTokens)] ?? 0;
        return page * this.arena.pageTokens + (last % this.arena.pageTokens);
      }),
      sequenceStarts: Int32Array.from({ length: sequences.length + 1 }, (_, index) => index),
      pageTables: Int32Array.from(pageTables.flatMap((table) => Array.from(table))),
      contextLengths: Int32Array.from(contextLengths),
      logitRows: Int32Array.from(sequences.keys()),
      ...(sinkTokens && { sinkTokens }),
      ...(sinkShifts && { sinkShifts }),
      ...(windowStarts && { windowStarts }),
    };
  }

  cancel(): void {
    if (!this.#inFlight) return;
    this.#cancelled = true;
    this.controls.cancels += 1;
  }

  close(): void {
    if (this.#inFlight) this.controls.closesInFlight += 1;
    this.closed = true;
  }

  #isCancelled(): boolean {
    return this.#cancelled;
  }

  private async untilCancelled(): Promise<void> {
    while (!this.#cancelled) await new Promise((resolve) => setImmediate(resolve));
  }

  private get groups(): number {
    return this.arena.headGroups.length;
  }

  /** Shape and range checks, as the real binding makes them. */
  private check(batch: Batch, output: ForwardOutput, spare: readonly number[] = []): void {
    const tokens = batch.tokens.length;
    const sequences = batch.sequenceStarts.length - 1;
    const cells = this.groups * sequences;
    const { vocabSize } = this.model.spec;
    if (tokens < 1 || tokens > this.options.maxTokens)
      fail("AIR_ERR_SHAPE", `expected fewer tokens than ${tokens}`);
    expectLength("positions", batch.positions, tokens);
    expectLength("slots", batch.slots, this.groups * tokens);
    expectLength("contextLengths", batch.contextLengths, cells);
    for (const name of ["sinkTokens", "sinkShifts", "windowStarts"] as const) {
      const field = batch[name];
      if (field !== undefined) expectLength(name, field, cells);
    }
    expectLength("logits", output.logits, batch.logitRows.length * vocabSize);
    if (batch.pageTables.length % cells !== 0) fail("AIR_ERR_SHAPE", "expected [G, S, P] page tables");
    if (batch.sequenceStarts[0] !== 0 || batch.sequenceStarts[sequences] !== tokens) {
      fail("AIR_ERR_SHAPE", "expected sequence starts from 0 to the number of tokens");
    }
    batch.logitRows.forEach((row, index) => {
      if (row < 0 || row >= tokens || row <= (batch.logitRows[index - 1] ?? -1)) {
        fail("AIR_ERR_PAGE_RANGE", `expected an ascending row but received ${row}`);
      }
    });
    for (const token of batch.tokens) {
      if (token < 0 || token >= vocabSize)
        fail("AIR_ERR_ARGUMENT", `expected a token id but received ${token}`);
    }
    for (let group = 0; group < this.groups; group += 1) this.checkSlots(batch, group);
    this.checkPadding(batch, cells, spare);
  }

  private checkSlots(batch: Batch, group: number): void {
    const tokens = batch.tokens.length;
    const slots = batch.slots.subarray(group * tokens, (group + 1) * tokens);
    const slotCount = (this.arena.headGroups[group]?.pageCount ?? 0) * this.arena.pageTokens;
    if (new Set(slots).size !== tokens) fail("AIR_ERR_PAGE_RANGE", "expected distinct slots");
    for (const slot of slots) {
      if (slot < this.arena.pageTokens || slot >= slotCount) {
        fail("AIR_ERR_PAGE_RANGE", `expected a slot of a real page but received ${slot}`);
      }
    }
  }

  /** Page tables end in null pages, and hold none before. */
  private checkPadding(batch: Batch, cells: number, spare: readonly number[]): void {
    const maxPages = batch.pageTables.length / cells;
    const sequences = batch.sequenceStarts.length - 1;
    batch.pageTables.forEach((page, index) => {
      const cell = Math.floor(index / maxPages);
      const length = (batch.contextLengths[cell] ?? 0) + (spare[cell % sequences] ?? 0);
      const isUsed = (index % maxPages) * this.arena.pageTokens < length;
      if (isUsed !== page > 0) fail("AIR_ERR_PAGE_RANGE", `expected padded page tables but received ${page}`);
    });
  }

  private write(batch: Batch): void {
    this.eachSlot(batch, (group, slot, token) => {
      const entry = { token: batch.tokens[token] ?? -1, position: batch.positions[token] ?? -1 };
      this.entriesOf(group)[slot] = entry;
    });
  }

  /** A cancelled step leaves nonsense behind. */
  private scribble(batch: Batch): void {
    this.eachSlot(batch, (group, slot) => {
      this.entriesOf(group)[slot] = unwritten;
    });
  }

  private eachSlot(batch: Batch, visit: (group: number, slot: number, token: number) => void): void {
    const tokens = batch.tokens.length;
    batch.slots.forEach((slot, index) => {
      visit(Math.floor(index / tokens), slot, index % tokens);
    });
  }

  private entriesOf(group: number): Entry[] {
    return this.arena.entries[group] ?? fail("AIR_ERR_PAGE_RANGE", `expected a head group, not ${group}`);
  }

  private writeLogits(batch: Batch, logits: Float32Array): void {
    const { vocabSize } = this.model.spec;
    batch.logitRows.forEach((token, row) => {
      const context = this.hashContext(batch, token);
      // A draft model agrees with its target two times in three.
      const hash = this.model.isDraft && context % 3 === 0 ? mix(context, 1) : context;
      const poisoned = this.controls.poisonedTokens.has(batch.tokens[token] ?? -1);
      for (let id = 0; id < vocabSize; id += 1) {
        logits[row * vocabSize + id] = poisoned ? NaN : (mix(hash, id) / 2 ** 32) * 8 - 4;
      }
    });
  }

  /** Hash of all that the token sees, over head groups, as differences of positions. */
  private hashContext(batch: Batch, token: number): number {
    const sequences = batch.sequenceStarts.length - 1;
    const sequence = batch.sequenceStarts.findIndex((start, index) => index > 0 && token < start) - 1;
    const maxPages = batch.pageTables.length / (this.groups * sequences);
    const later = (batch.sequenceStarts[sequence + 1] ?? 0) - 1 - token;
    const position = batch.positions[token] ?? 0;
    let hash = 1;
    for (let group = 0; group < this.groups; group += 1) {
      const cell = group * sequences + sequence;
      const end = (batch.contextLengths[cell] ?? 0) - later;
      const sinks = batch.sinkTokens?.[cell] ?? 0;
      const windowStart = batch.windowStarts?.[cell] ?? sinks;
      const shift = batch.sinkShifts?.[cell] ?? 0;
      for (let index = 0; index < end; index += 1) {
        if (index >= sinks && index < windowStart) continue;
        const page = batch.pageTables[cell * maxPages + Math.floor(index / this.arena.pageTokens)] ?? 0;
        const entry = this.entriesOf(group)[page * this.arena.pageTokens + (index % this.arena.pageTokens)];
        if (page === 0 || entry === undefined || entry.token < 0) {
          fail("AIR_ERR_INTERNAL", `expected a written entry at cache index ${index} but received none`);
        }
        const distance = position - (index < sinks ? shift : 0) - entry.position;
        hash = mix(mix(hash, entry.token), distance);
        if (index === end - 1 && distance !== 0)
          fail("AIR_ERR_INTERNAL", "expected the token itself to be last");
      }
    }
    return hash;
  }
}

function copyBatch(batch: Batch): Batch {
  return {
    tokens: batch.tokens.slice(),
    positions: batch.positions.slice(),
    slots: batch.slots.slice(),
    sequenceStarts: batch.sequenceStarts.slice(),
    pageTables: batch.pageTables.slice(),
    contextLengths: batch.contextLengths.slice(),
    logitRows: batch.logitRows.slice(),
    ...(batch.sinkTokens && { sinkTokens: batch.sinkTokens.slice() }),
    ...(batch.sinkShifts && { sinkShifts: batch.sinkShifts.slice() }),
    ...(batch.windowStarts && { windowStarts: batch.windowStarts.slice() }),
  };
}

/** A fake addon and its controls. */
export class FakeAddon extends FakeRowOps implements NativeAddon {
  readonly #handles: { readonly closed: boolean }[] = [];
  readonly #models = new Map<NativeModel, FakeModel>();
  readonly #arenas = new Map<NativeKvArena, FakeArena>();
  readonly controls: FakeControls = {
    batches: [],
    poisonedTokens: new Set(),
    openHandles: () => this.#handles.filter((handle) => !handle.closed).length,
    cancels: 0,
    closesInFlight: 0,
  };

  capabilities(): Capabilities {
    return { abiVersion: 1, isas: ["reference"], activeIsa: "reference", cpus: 1, defaultThreads: 1 };
  }

  async loadModel(_directory: NativeTensorDirectory, spec: DecoderSpec): Promise<NativeModel> {
    return Promise.resolve(this.createModel(spec));
  }

  /** A model without a file. */
  createModel(spec: DecoderSpec, isDraft = false): NativeModel {
    const model = new FakeModel(spec, isDraft);
    this.#handles.push(model);
    this.#models.set(model, model);
    return model;
  }

  createArena(_model: NativeModel, options: CreateArenaOptions): NativeKvArena {
    const arena = new FakeArena(options);
    this.#handles.push(arena);
    this.#arenas.set(arena, arena);
    return arena;
  }

  createRunner(model: NativeModel, arena: NativeKvArena, options: CreateRunnerOptions): NativeRunner {
    const ownModel = this.#models.get(model) ?? fail("AIR_ERR_ARGUMENT", "expected a model of this addon");
    const ownArena = this.#arenas.get(arena) ?? fail("AIR_ERR_ARGUMENT", "expected an arena of this addon");
    const runner = new FakeRunner(ownModel, ownArena, options, this.controls);
    this.#handles.push(runner);
    return runner;
  }

  async measureReadBandwidth(): Promise<number> {
    return Promise.resolve(10);
  }

  allocateShared(length: number): SharedFloats {
    return new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT));
  }
}

/** A spec whose numbers the fake ignores, the vocabulary excepted. */
export function fakeSpec(vocabSize: number): DecoderSpec {
  return {
    layers: 1,
    embeddingLength: 8,
    queryHeads: 1,
    kvHeads: 1,
    headDim: 8,
    feedForwardLength: 8,
    vocabSize,
    normKind: "rms",
    normEpsilon: 1e-5,
    activation: "silu",
    rope: { pairing: "half", dimensions: 8, inverseFrequencies: new Float64Array(4), attentionFactor: 1 },
    tiedOutput: false,
  };
}
