import type {
  Batch,
  CreateRunnerOptions,
  DecoderSpec,
  ForwardOutput,
  ForwardStats,
  NativeModel,
  NativeRunner,
  PackCacheReport,
  ProposeOptions,
  ProposeResult,
} from "../../lib/native/native.js";
import { type Entry, fail, type FakeArena, unwritten } from "./fake-arena.js";
import { checkBatch, copyBatch, nextBatch } from "./fake-batch.js";
import { FakeRowOps } from "./fake-row-ops.js";

const fakeRowOps = new FakeRowOps();

/** 32-bit mixing step (the finaliser of MurmurHash3). */
function mix(hash: number, value: number): number {
  let h = Math.imul(hash ^ value, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A model without weights. */
export class FakeModel implements NativeModel {
  readonly backend = "cpu";
  readonly device = undefined;
  readonly weightBytes = 1000;
  readonly mappedBytes = 100;
  readonly conversions = [];
  readonly packCache: PackCacheReport | undefined;
  closed = false;

  constructor(
    readonly spec: DecoderSpec,
    readonly isDraft: boolean,
  ) {}

  columnSquares(role: string): Float32Array {
    return new Float32Array(this.spec.embeddingLength).fill(role.length);
  }

  close(): void {
    this.closed = true;
  }
}

/** What a test can watch and steer. */
export interface FakeControls {
  /** Limits that limitThreads() was called with. */
  readonly threadLimits: number[];
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

/** What a token reads of one head group. */
interface View {
  /** Index into pageTables of the sequence's first page. */
  readonly tableStart: number;
  /** One past the last cache index. */
  readonly end: number;
  readonly sinks: number;
  readonly windowStart: number;
}

/** The forward pass: a hash of what a token reads. */
export class FakeRunner implements NativeRunner {
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
  private async compute(batch: Batch, output: ForwardOutput, spare: readonly number[] = []): Promise<void> {
    if (this.closed || this.arena.closed || this.model.closed)
      fail("AIR_ERR_CLOSED", "expected an open runner");
    if (this.#inFlight)
      fail("AIR_ERR_BUSY", "expected an idle runner for forward but received a second call");
    this.#inFlight = true;
    this.#cancelled = false;
    this.arena.inUse = true;
    const copy = copyBatch(batch);
    try {
      this.controls.beforeForward?.(copy);
      this.check(copy, output, spare);
      const hashes = this.write(copy);
      if (this.controls.gate !== undefined) {
        await Promise.race([this.controls.gate, this.untilCancelled()]);
      } else await new Promise((resolve) => setImmediate(resolve));
      if (this.#isCancelled()) {
        this.scribble(copy);
        fail("AIR_ERR_CANCELLED", "expected no cancel for the forward but received one");
      }
      this.controls.batches.push(copy);
      this.writeOutput(copy, hashes, output);
    } finally {
      this.#inFlight = false;
      this.arena.inUse = false;
    }
  }

  forwardSync(batch: Batch, output: ForwardOutput): ForwardStats {
    this.check(batch, output, []);
    this.writeOutput(batch, this.write(batch), output);
    return { computeMicros: 1 };
  }

  async propose(batch: Batch, { counts, minConfidence }: ProposeOptions): Promise<ProposeResult> {
    const { vocabSize } = this.model.spec;
    const width = Math.max(...counts);
    const tokens = new Int32Array(counts.length * width).fill(-1);
    const confidence = new Float32Array(counts.length * width);
    const products = Array.from(counts, () => 1);
    const first = copyBatch(batch);
    let step = first;
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
      if (goingOn.length > 0) step = nextBatch(first, this.arena, goingOn, tokens, width, place);
      active = goingOn;
    }
    return { computeMicros: 1, tokens, confidence };
  }

  limitThreads(threads: number): void {
    this.controls.threadLimits.push(threads);
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

  private check(batch: Batch, output: ForwardOutput, spare: readonly number[]): void {
    const { vocabSize, embeddingLength } = this.model.spec;
    const limits = { vocabSize, embeddingLength, maxTokens: this.options.maxTokens };
    checkBatch(batch, output, this.arena, limits, spare);
  }

  /** Writes the entries of a batch, each with the hash of what its token sees; returns those hashes, [T]. */
  private write(batch: Batch): Uint32Array {
    this.eachSlot(batch, (group, slot, token) => {
      this.arena.entries(group)[slot] = {
        token: batch.tokens[token] ?? -1,
        position: batch.positions[token] ?? -1,
        state: 0,
      };
    });
    const hashes = new Uint32Array(batch.tokens.length);
    for (const token of hashes.keys()) {
      const state = this.hashContext(batch, token);
      hashes[token] = state;
      for (let group = 0; group < this.groups; group += 1) {
        const slot = batch.slots[group * hashes.length + token] ?? 0;
        const entries = this.arena.entries(group);
        entries[slot] = { ...(entries[slot] ?? unwritten), state };
      }
    }
    return hashes;
  }

  /** A cancelled step leaves nonsense behind. */
  private scribble(batch: Batch): void {
    this.eachSlot(batch, (group, slot) => {
      this.arena.entries(group)[slot] = unwritten;
    });
  }

  private eachSlot(batch: Batch, visit: (group: number, slot: number, token: number) => void): void {
    const tokens = batch.tokens.length;
    batch.slots.forEach((slot, index) => {
      visit(Math.floor(index / tokens), slot, index % tokens);
    });
  }

  private writeOutput(batch: Batch, hashes: Uint32Array, output: ForwardOutput): void {
    const { logits, hidden, logitCount = batch.logitRows.length, pageMass } = output;
    const { vocabSize, embeddingLength } = this.model.spec;
    batch.logitRows.forEach((token, row) => {
      const context = hashes[token] ?? 0;
      for (let column = 0; hidden !== undefined && column < embeddingLength; column += 1) {
        hidden[row * embeddingLength + column] = mix(context, ~column) / 2 ** 31 - 1;
      }
      if (row >= logitCount) return;
      // A draft model agrees with its target two times in three.
      const hash = this.model.isDraft && context % 3 === 0 ? mix(context, 1) : context;
      const poisoned = this.controls.poisonedTokens.has(batch.tokens[token] ?? -1);
      for (let id = 0; id < vocabSize; id += 1) {
        logits[row * vocabSize + id] = poisoned ? NaN : (mix(hash, id) / 2 ** 32) * 8 - 4;
      }
    });
    if (pageMass !== undefined) this.writePageMass(batch, pageMass);
  }

  /** Every entry that a sequence's last token reads gets the same share of its attention. */
  private writePageMass(batch: Batch, pageMass: Float32Array): void {
    pageMass.fill(0);
    const sequences = batch.sequenceStarts.length - 1;
    for (let cell = 0; cell < this.groups * sequences; cell += 1) {
      const last = (batch.sequenceStarts[(cell % sequences) + 1] ?? 0) - 1;
      const view = this.view(batch, Math.floor(cell / sequences), cell % sequences, last);
      const read = Array.from({ length: view.end }, (_, index) => index).filter(
        (index) => index < view.sinks || index >= view.windowStart,
      );
      for (const index of read) {
        const page = view.tableStart + Math.floor(index / this.arena.pageTokens);
        pageMass[page] = (pageMass[page] ?? 0) + 1 / read.length;
      }
    }
  }

  private view(batch: Batch, group: number, sequence: number, token: number): View {
    const sequences = batch.sequenceStarts.length - 1;
    const cell = group * sequences + sequence;
    const later = (batch.sequenceStarts[sequence + 1] ?? 0) - 1 - token;
    const end = (batch.contextLengths[cell] ?? 0) - later;
    const sinks = batch.sinkTokens?.[cell] ?? 0;
    const windowTokens = batch.windowTokens?.[cell] ?? 0;
    // Once tokens were evicted, what shares pages with the sinks is not read.
    const { pageTokens } = this.arena;
    const isGone = (batch.evictedTokens?.[cell] ?? 0) > 0;
    const first = isGone ? Math.ceil(sinks / pageTokens) * pageTokens : sinks;
    const windowStart = windowTokens > 0 ? Math.max(first, end - windowTokens) : first;
    const maxPages = batch.pageTables.length / (this.groups * sequences);
    return { tableStart: cell * maxPages, end, sinks, windowStart };
  }

  /** Hash of all that the token sees, over head groups, as differences of positions. */
  private hashContext(batch: Batch, token: number): number {
    const sequences = batch.sequenceStarts.length - 1;
    const sequence = batch.sequenceStarts.findIndex((start, index) => index > 0 && token < start) - 1;
    const position = batch.positions[token] ?? 0;
    let hash = 1;
    for (let group = 0; group < this.groups; group += 1) {
      const { tableStart, end, sinks, windowStart } = this.view(batch, group, sequence, token);
      const evicted = batch.evictedTokens?.[group * sequences + sequence] ?? 0;
      const shift = evicted + windowStart - sinks;
      for (let index = 0; index < end; index += 1) {
        if (index >= sinks && index < windowStart) continue;
        const entry = this.entryAt(batch, group, tableStart, index);
        const distance = position - (index < sinks ? shift : 0) - entry.position;
        hash = mix(mix(mix(hash, entry.token), distance), entry.state);
        if (index === end - 1 && distance !== 0)
          fail("AIR_ERR_INTERNAL", "expected the token itself to be last");
      }
    }
    return hash;
  }

  private entryAt(batch: Batch, group: number, tableStart: number, index: number): Entry {
    const { pageTokens } = this.arena;
    const page = batch.pageTables[tableStart + Math.floor(index / pageTokens)] ?? 0;
    const entry = this.arena.entries(group)[page * pageTokens + (index % pageTokens)];
    if (page > 0 && entry !== undefined && entry.token >= 0) return entry;
    return fail("AIR_ERR_INTERNAL", `expected a written entry at cache index ${index} but received none`);
  }
}
