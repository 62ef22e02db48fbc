import { PageTable, type PageTableState } from "../cache/page-table.js";
import { AirCapacityError, AirError, deadlineError } from "../errors/air-error.js";
import { at } from "../util/array-access.js";
import { createDeferred } from "../util/deferred.js";
import { BatchBuilder } from "./batch-builder.js";
import { PageMass } from "./page-mass.js";
import { runDraftStep } from "./draft-step.js";
import type { EngineOptions, EngineStats } from "./engine-options.js";
import { gatherGuesses } from "./gather-guesses.js";
import { type GrantedShare, makeRoom } from "./page-reservation.js";
import { StepPlanner } from "./planner.js";
import { PrefixReuse } from "./prefix-reuse.js";
import {
  type GreedyRequest,
  isGreedy,
  isHidden,
  type Run,
  type RunRequest,
  type StepInfo,
  wantedFrom,
} from "./run.js";
import { Sequence } from "./sequence.js";
import { StepOutput, type StepRows } from "./step-output.js";
import { StepSizes } from "./step-sizes.js";

export type { EngineOptions, EngineStats } from "./engine-options.js";

/** Most memory for the logits of one step; it bounds the rows. */
const maxLogitsBytes = 64 * 2 ** 20;

const noRows = new Float32Array(0);

/** Drives many sequences over one runner, one ragged step at a time. */
export class Engine {
  readonly #options: EngineOptions;
  readonly #planner: StepPlanner;
  readonly #builder: BatchBuilder;
  readonly #sequences = new Set<Sequence>();
  readonly #runs = new Map<Sequence, Run>();
  readonly #prefixes: PrefixReuse | undefined;
  /** What waits for the end of the step. */
  readonly #resting: (() => void)[] = [];
  readonly #pageMass: PageMass | undefined;
  readonly #output: StepOutput;
  #inStep: readonly GrantedShare[] = [];
  #loop: Promise<void> | undefined;
  #arrivals = 0;
  readonly #stepSizes = new StepSizes();
  #stats = { steps: 0, computedTokens: 0, computeMicros: 0, preemptions: 0 };

  constructor(options: EngineOptions) {
    this.#options = options;
    const rowBytes = options.vocabSize * Float32Array.BYTES_PER_ELEMENT;
    this.#builder = new BatchBuilder(options.pools.length);
    this.#output = new StepOutput(options);
    this.#pageMass =
      options.policy.usesPageMass === true
        ? new PageMass(options.pools.length, (length) => options.allocateShared(length))
        : undefined;
    if (options.prefixCache && options.policy.usesPageMass !== true) {
      this.#prefixes = new PrefixReuse(options.pools, options.arena.pageTokens);
    }
    this.#planner = new StepPlanner({
      ...options,
      prefixes: this.#prefixes,
      maxTokens: options.maxBatchTokens,
      maxRows: Math.min(options.maxBatchTokens, Math.max(1, Math.floor(maxLogitsBytes / rowBytes))),
    });
  }

  /** Counters since the engine was made. */
  get stats(): EngineStats {
    return { ...this.#stats, stepSizes: this.#stepSizes.stats, prefixCache: this.#prefixes?.stats };
  }

  /** Bytes of the buffers for logits and hidden states. */
  get outputBytes(): number {
    return this.#output.bytes;
  }

  /**
   * Makes an empty sequence; hand it to closeSequence() in the end.
   *
   * @param prefixKey - it shares pages with sequences of the same key only
   */
  createSequence(prefixKey = ""): Sequence {
    const { pools, arena } = this.#options;
    const table = new PageTable(pools, arena.pageTokens, (headGroup, from, to) => {
      arena.copyPages(headGroup, Int32Array.of(from), Int32Array.of(to));
    });
    return this.#own(new Sequence(table, prefixKey), (this.#arrivals += 1));
  }

  /** Makes a sequence that goes on from what another one knows, and shares its pages. */
  forkSequence(sequence: Sequence): Sequence {
    this.#assertIdle(sequence, "fork");
    return this.#own(sequence.fork(), sequence.arrival);
  }

  /**
   * Makes a sequence with pages for a saved state, which idle sequences give up where none are free. The caller fills
   * them, between steps, before the sequence runs.
   *
   * @returns undefined when there are too few pages
   */
  restoreSequence(tokens: readonly number[], state: PageTableState, prefixKey: string): Sequence | undefined {
    const needed = state.pagePositions.map((positions) => positions.length);
    if (!makeRoom(needed, this.#options.pools, [...this.#sequences])) return undefined;
    const sequence = this.createSequence(prefixKey);
    sequence.table.restore(state);
    sequence.restore(tokens);
    return sequence;
  }

  /** Calls `action` while no step is in flight, so that it may use the arena: at once, or after the step. */
  atRest<T>(action: () => T): Promise<T> {
    const done = createDeferred<T>();
    const act = (): void => {
      try {
        done.resolve(action());
      } catch (error) {
        done.reject(error);
      }
    };
    if (this.#inStep.length === 0) act();
    else this.#resting.push(act);
    return done.promise;
  }

  /** Whether a sequence can run: it was made here and not closed. */
  has(sequence: Sequence): boolean {
    return this.#sequences.has(sequence);
  }

  /** Frees a sequence's pages, once the step it is in is over. A run of it rejects with `reason`. Idempotent. */
  closeSequence(sequence: Sequence, reason: AirError): void {
    if (!this.#sequences.delete(sequence)) return;
    if (this.#runs.has(sequence)) this.cancel(sequence, reason);
    else sequence.table.release();
  }

  /**
   * Computes a text and goes on for as long as `onLogits` returns tokens, or drafts once.
   *
   * @throws {AirError} AIR_ERR_BUSY when the sequence has a run, AIR_ERR_CLOSED when it was closed
   * @returns a promise that settles when the sequence is in no step any more; it rejects with what onLogits
   *   threw, AIR_ERR_KV_EXHAUSTED, AIR_ERR_TIMEOUT, the native failure of a step, or the reason given to cancel()
   */
  run(sequence: Sequence, request: RunRequest): Promise<void> {
    this.#assertIdle(sequence, "run");
    const leftMs = request.deadline === undefined ? Infinity : request.deadline - performance.now();
    if (leftMs <= 0) return Promise.reject(deadlineError());
    sequence.begin(request.tokens, wantedFrom(request));
    sequence.spareTokens = isGreedy(request) ? request.count - 1 : 0;
    sequence.arrival = this.#arrivals += 1;
    sequence.admission = undefined;
    sequence.priority = request.priority ?? 0;
    sequence.user = request.user ?? "";
    sequence.state = "waiting";
    const run: Run = { request, ended: createDeferred<undefined>(), proposed: false };
    this.#runs.set(sequence, run);
    if (leftMs < Infinity) {
      run.timer = setTimeout(() => {
        this.cancel(sequence, deadlineError());
      }, leftMs);
    }
    this.#loop ??= this.#runLoop();
    return run.ended.promise;
  }

  /** Ends a sequence's run with `reason`, at once or with the step it is in. Does nothing without a run. */
  cancel(sequence: Sequence, reason: AirError): void {
    const run = this.#runs.get(sequence);
    if (run === undefined || run.cancelled !== undefined) return;
    run.cancelled = reason;
    if (!this.#inStep.some((share) => share.sequence === sequence)) {
      this.#endRun(sequence, reason);
      return;
    }
    const abandoned = this.#inStep.every((share) => this.#runs.get(share.sequence)?.cancelled !== undefined);
    if (abandoned) this.#options.runner.cancel();
  }

  /** Closes every sequence; settles when no step is in flight, so that the runner can be closed. */
  async close(reason: AirError): Promise<void> {
    for (const sequence of this.#sequences) this.closeSequence(sequence, reason);
    await this.#loop;
    this.#prefixes?.clear();
  }

  #own(sequence: Sequence, arrival: number): Sequence {
    sequence.arrival = arrival;
    this.#sequences.add(sequence);
    return sequence;
  }

  #assertIdle(sequence: Sequence, purpose: string): void {
    if (!this.has(sequence)) {
      throw new AirError(
        "AIR_ERR_CLOSED",
        `expected an open sequence for a ${purpose} but received a closed one`,
      );
    }
    if (this.#runs.has(sequence)) {
      throw new AirError(
        "AIR_ERR_BUSY",
        `expected an idle sequence for a ${purpose} but received one with a run`,
      );
    }
  }

  async #runLoop(): Promise<void> {
    await Promise.resolve(); // runs that start in the same tick share the first step
    while (this.#runs.size > 0) {
      try {
        this.#planner.admit(this.#runs, [...this.#sequences]); // a run may guess in its first step
        await gatherGuesses(this.#runs);
        const runsBefore = this.#runs.size;
        const granted = this.#plan();
        if (granted.length > 0) await this.#step(granted);
        else if (this.#runs.size === runsBefore) {
          throw new AirError(
            "AIR_ERR_INTERNAL",
            `expected a step for ${runsBefore} runs but received nothing to do`,
          );
        }
      } catch (error) {
        for (const sequence of [...this.#runs.keys()]) {
          sequence.table.release(); // it may hold slots that no step has filled
          this.#endRun(sequence, error);
        }
      }
    }
    this.#loop = undefined;
  }

  #plan(): readonly GrantedShare[] {
    const { granted, exhausted, preemptions } = this.#planner.plan(this.#runs, [...this.#sequences]);
    this.#stats.preemptions += preemptions;
    for (const sequence of exhausted) this.#endRun(sequence, this.#exhaustedError(sequence));
    return granted;
  }

  async #step(granted: readonly GrantedShare[]): Promise<void> {
    const drafting = granted.filter(({ sequence, rows }) => rows > 0 && this.#drafts(sequence));
    const isDraft = drafting.length > 0;
    const shares = isDraft ? drafting : granted;
    for (const share of granted) {
      // What came too short of pages to draft waits for those that can.
      if (!shares.includes(share)) share.sequence.table.truncate(share.firstToken);
    }
    this.#inStep = shares;
    let conclude: () => void;
    try {
      conclude = isDraft ? await this.#draft(shares) : await this.#forward(shares);
    } catch (error) {
      conclude = () => {
        this.#undo(shares, error);
      };
    }
    this.#inStep = [];
    conclude();
    for (const act of this.#resting.splice(0)) act();
  }

  #drafts(sequence: Sequence): boolean {
    const run = this.#runs.get(sequence);
    return run !== undefined && isGreedy(run.request);
  }

  /** Computes a step; the result hands out its rows. */
  async #forward(granted: readonly GrantedShare[]): Promise<() => void> {
    const stepRows = this.#output.rows(granted, ({ sequence }) => this.#wantsHidden(sequence));
    const { shares, ...rowOutput } = stepRows;
    const batch = this.#builder.build(shares);
    const rows = batch.logitRows.length;
    const tokens = batch.tokens.length;
    const started = performance.now();
    const pageMass = this.#pageMass?.output(batch.pageTables.length);
    const output = { ...rowOutput, ...(pageMass && { pageMass }) };
    const { computeMicros } = await this.#options.runner.forward(batch, output);
    const info: StepInfo = { ms: performance.now() - started, rows, tokens, sequences: shares.length };
    this.#count(shares.length, tokens, computeMicros);
    this.#planner.learn(shares, info.ms);
    this.#pageMass?.handOut(shares, batch.pageTables.length);
    return () => {
      this.#deliver(stepRows, info);
    };
  }

  /** Drafts for every share; the result hands out the tokens. */
  async #draft(granted: readonly GrantedShare[]): Promise<() => void> {
    const batch = this.#builder.build(granted);
    const known = batch.tokens.length;
    const requests = granted.map(({ sequence }) => this.#runs.get(sequence)?.request as GreedyRequest);
    const { drafts, computeMicros } = await runDraftStep(this.#options.runner, batch, granted, requests);
    // The last token of a draft is not fed back, so it has no K/V.
    const written = drafts.map(({ tokens }) => Math.max(0, tokens.length - 1));
    const computed = written.reduce((sum, count) => sum + count, known);
    this.#count(granted.length, computed, computeMicros);
    return () => {
      for (const [order, { sequence, firstToken, tokens }] of granted.entries()) {
        const draft = at(drafts, order);
        sequence.table.truncate(firstToken + tokens + at(written, order));
        sequence.settle(draft.tokens);
        this.#conclude(sequence, () => {
          at(requests, order).onDraft(draft.tokens, draft.confidence);
          return true;
        });
        this.#prefixes?.register(sequence);
      }
    };
  }

  #count(sequences: number, tokens: number, computeMicros: number): void {
    this.#stats.steps += 1;
    this.#stepSizes.add(sequences);
    this.#stats.computedTokens += tokens;
    this.#stats.computeMicros += computeMicros;
  }

  #wantsHidden(sequence: Sequence): boolean {
    const run = this.#runs.get(sequence);
    return run !== undefined && isHidden(run.request);
  }

  /** Hands the rows of a step to their runs, and ends the runs that are done. */
  #deliver({ shares, logits, hidden }: StepRows, step: StepInfo): void {
    const { vocabSize, embeddingLength } = this.#options;
    let row = 0;
    for (const { sequence, firstToken, tokens, rows } of shares) {
      const first = row;
      row += rows;
      this.#conclude(sequence, (run) => {
        run.proposed = false;
        const { request } = run;
        if (rows > 0 && !isGreedy(request)) {
          const firstIndex = firstToken + tokens - rows;
          const part = (buffer: Float32Array | undefined, width: number): Float32Array =>
            (buffer ?? noRows).subarray(first * width, (first + rows) * width);
          if (isHidden(request)) request.onHidden(part(hidden, embeddingLength), firstIndex);
          else sequence.settle(request.onLogits(part(logits, vocabSize), firstIndex, step));
          sequence.logitsFrom = sequence.computedTokens;
        }
        return sequence.knownTokens === sequence.computedTokens;
      });
      this.#prefixes?.register(sequence);
    }
  }

  /** Gives a run what a step computed for it; `give` tells whether the run is done. */
  #conclude(sequence: Sequence, give: (run: Run) => boolean): void {
    const run = this.#runs.get(sequence);
    if (run === undefined) return;
    if (run.cancelled !== undefined) {
      this.#endRun(sequence, run.cancelled);
      return;
    }
    try {
      if (give(run)) this.#endRun(sequence);
    } catch (error) {
      this.#endRun(sequence, error);
    }
  }

  /**
   * After a failed step: forgets its tokens, whose K/V may be half written, and ends its runs. A step is only cancelled
   * when all its runs are, so there is nobody to retry it for.
   */
  #undo(granted: readonly GrantedShare[], error: unknown): void {
    for (const { sequence, firstToken } of granted) {
      sequence.table.truncate(firstToken);
      this.#endRun(sequence, this.#runs.get(sequence)?.cancelled ?? error);
    }
  }

  /** Takes a run out of the engine, and settles its promise. */
  #endRun(sequence: Sequence, error?: unknown): void {
    const run = this.#runs.get(sequence);
    this.#runs.delete(sequence);
    clearTimeout(run?.timer);
    sequence.state = "idle";
    if (!this.has(sequence)) sequence.table.release();
    else sequence.settle([]); // no guesses are left behind
    if (error === undefined) run?.ended.resolve(undefined);
    else run?.ended.reject(error);
  }

  #exhaustedError(sequence: Sequence): AirCapacityError {
    const { pools, arena } = this.#options;
    const pages = pools.map((pool) => String(pool.usablePages)).join(" + ");
    return new AirCapacityError(
      "AIR_ERR_KV_EXHAUSTED",
      `expected KV pages for ${sequence.knownTokens} tokens but received ${pages} pages of ` +
        `${arena.pageTokens} tokens in all`,
    );
  }
}
