import { setImmediate } from "node:timers/promises";

import type { MemoryPlan } from "../cache/memory-plan.js";
import type { TierState } from "../routing/decision.js";
import { AirError } from "../errors/air-error.js";
import type { Embedding, EmbedOptions } from "../runtime/embedding.js";
import { loadModel } from "../runtime/load-model.js";
import { closedError } from "../runtime/model-core.js";
import type { Model } from "../runtime/model.js";
import { type GenerateOptions, type LoadModelOptions, longestTimeoutMs } from "../runtime/options.js";
import { createDeferred } from "../util/deferred.js";
import { pickGiven } from "../util/options.js";
import { fractionOf } from "./governor.js";
import type { BudgetedModel } from "./memory-budget.js";
import { unlessStopped, withoutTime } from "./request-time.js";
import type { OpenAnswer, Tier, TierRequest, TierStats } from "./tier.js";
import { TierPace } from "./tier-pace.js";
import { Turns } from "./turns.js";

/** Options of a {@link LocalTier}. */
export interface LocalTierOptions {
  readonly name: string;
  /** GGUF file. */
  readonly file: string;
  readonly load: LoadModelOptions;
  /** What load takes, from the file's header. */
  readonly plan: MemoryPlan;
  /** Options that requests start from. */
  readonly defaults: GenerateOptions;
  /** Most tokens of an answer; requests may ask for fewer. */
  readonly maxTokens: number | undefined;
  /** Answers at a time; they share the steps of the engine and its pages. */
  readonly maxConcurrent: number;
  readonly maxWaiting: number;
  /** Unload after so long without a request; Infinity never does. */
  readonly idleUnloadMs: number;
  /** Does a load when it is its turn: one at a time. */
  readonly inTurn: <Value>(work: () => Promise<Value>) => Promise<Value>;
  /** Called before a load: makes room, or throws AIR_ERR_MEMORY. */
  readonly makeRoom: (tier: LocalTier) => void;
  /** Called when memory ran out all the same: unloads models that nobody uses, and says whether there were any. */
  readonly freeMemory: () => boolean;
  readonly now: () => number;
  readonly onEvent: (event: "load" | "unload", tier: LocalTier) => void;
}

const memoryCodes: ReadonlySet<string> = new Set(["AIR_ERR_MEMORY", "AIR_ERR_OUT_OF_MEMORY"]);
const stoppedCodes: ReadonlySet<string> = new Set(["AIR_ERR_CANCELLED", "AIR_ERR_CLOSED"]);

/** A model of this machine that is loaded when a request needs it, and unloaded when none did for a while. */
export class LocalTier implements Tier {
  readonly name: string;
  readonly kind = "local";
  readonly #options: LocalTierOptions;
  readonly #turns: Turns;
  readonly #pace: TierPace;
  #model: Model | undefined;
  #loading: Promise<Model> | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #lastUsedMs = 0;
  #leaves = false;
  #closed = false;
  #threadsFraction = 1;
  #batchFraction = 1;
  #reloading: Promise<void> | undefined;
  /** Called when the last turn ends. */
  #onIdle: (() => void) | undefined;
  #counts = { requests: 0, failures: 0, loads: 0, unloads: 0 };

  constructor(options: LocalTierOptions) {
    const { name, maxConcurrent, maxWaiting, plan } = options;
    this.name = name;
    this.#options = options;
    this.#turns = new Turns(name, maxConcurrent, maxWaiting);
    this.#pace = new TierPace(plan.weightBytes);
  }

  /** The loaded model, for benches and tests; undefined while it is not. */
  get model(): Model | undefined {
    return this.#model;
  }

  /** Most tokens of prompt and answer together. */
  get contextTokens(): number {
    return this.#model?.info.contextTokens ?? this.#options.plan.contextTokens;
  }

  /** What the memory budget has to know. */
  get budget(): BudgetedModel {
    const { plan, idleUnloadMs } = this.#options;
    const isLoaded = this.#model !== undefined || this.#loading !== undefined;
    return {
      name: this.name,
      bytes: plan.totalBytes - plan.processBytes,
      isLoaded,
      isIdle: this.#turns.active === 0 && this.#loading === undefined && idleUnloadMs !== Infinity,
      lastUsedMs: this.#lastUsedMs,
    };
  }

  state(): TierState {
    const { maxConcurrent } = this.#options;
    const ahead = this.#turns.waiting + Math.max(0, this.#turns.active - this.#turns.limit + 1);
    return {
      name: this.name,
      kind: "local",
      isReady: this.#model !== undefined,
      isAvailable: !this.#closed && !this.#turns.isFull,
      loadSeconds: this.#pace.loadSeconds,
      prefillTokensPerSecond: this.#pace.prefillTokensPerSecond,
      decodeTokensPerSecond: this.#pace.decodeTokensPerSecond,
      queueSeconds: (ahead * this.#pace.answerSeconds) / maxConcurrent,
      contextTokens: this.contextTokens,
    };
  }

  stats(): TierStats {
    return { ...this.#counts, active: this.#turns.active, waiting: this.#turns.waiting };
  }

  get isFull(): boolean {
    return this.#turns.isFull;
  }

  /** Requests that wait, of those that may. */
  get queuePressure(): number {
    const { maxWaiting } = this.#options;
    return maxWaiting === 0 ? 0 : Math.min(1, this.#turns.waiting / maxWaiting);
  }

  async open(request: TierRequest): Promise<OpenAnswer> {
    this.#assertOpen();
    const arrivedMs = performance.now();
    await this.#turns.enter(request.options);
    this.#stopIdling();
    this.#counts.requests += 1;
    try {
      const model = await unlessStopped(() => this.load(), withoutTime(request.options, arrivedMs));
      const session = model.createSession(
        request.cacheSalt === undefined ? {} : { cacheSalt: request.cacheSalt },
      );
      const startedMs = this.#options.now();
      try {
        const generation = session.generate(
          request.input,
          this.#optionsOf(withoutTime(request.options, arrivedMs)),
        );
        generation.result.then(
          (result) => {
            this.#pace.addAnswer(result, (this.#options.now() - startedMs) / 1000);
          },
          (error: unknown) => {
            this.#countFailure(error);
          },
        );
        return {
          generation,
          release: () => {
            session.close();
            this.#leave();
          },
        };
      } catch (error) {
        session.close();
        throw error;
      }
    } catch (error) {
      this.#countFailure(error);
      this.#leave();
      throw error;
    }
  }

  /**
   * Texts as vectors, when it is their turn.
   *
   * @throws {AirError} as open() and model.embed() do
   */
  async embed(texts: readonly string[], options: EmbedOptions): Promise<readonly Embedding[]> {
    this.#assertOpen();
    const arrivedMs = performance.now();
    await this.#turns.enter(options);
    this.#stopIdling();
    this.#counts.requests += 1;
    try {
      const model = await unlessStopped(() => this.load(), withoutTime(options, arrivedMs));
      return await model.embed(texts, withoutTime(options, arrivedMs));
    } catch (error) {
      this.#countFailure(error);
      throw error;
    } finally {
      this.#leave();
    }
  }

  /** Loads the model, unless it is there. */
  async load(): Promise<Model> {
    this.#assertOpen();
    if (this.#model !== undefined) return this.#model;
    this.#loading ??= this.#startLoading();
    return this.#loading;
  }

  /** Unloads the model: now, or when the last of the requests that use it is over. */
  unload(): void {
    this.#leaves = true; // of this load: the next one is wanted
    this.#unloadIfIdle();
  }

  /** Computes with this part of the threads, and as many answers at a time, until told otherwise. */
  throttle(threadsFraction: number, batchFraction: number): void {
    this.#threadsFraction = threadsFraction;
    this.#batchFraction = batchFraction;
    this.#limitTurns();
    this.#limitThreads();
  }

  /**
   * Loads the model again from its file. Requests that come meanwhile wait; those under way get `withinMs` to finish and
   * then end with AIR_ERR_CLOSED.
   *
   * @throws {AirError} as load()
   */
  async reload(withinMs: number): Promise<void> {
    this.#assertOpen();
    this.#reloading ??= this.#reload(withinMs).finally(() => {
      this.#reloading = undefined;
      this.#limitTurns();
    });
    await this.#reloading;
  }

  /** Ends the requests that are under way with AIR_ERR_CLOSED, and frees the model. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopIdling();
    this.#turns.refuseAll(closedError("tier"));
    await this.#loading?.catch(() => undefined);
    this.#model?.close();
    this.#model = undefined;
  }

  #optionsOf(options: GenerateOptions): GenerateOptions {
    const { defaults, maxTokens } = this.#options;
    const given = Object.keys(options) as (keyof GenerateOptions)[];
    const merged: GenerateOptions = { ...defaults, ...pickGiven(options, given) };
    if (maxTokens === undefined) return merged;
    return { ...merged, maxTokens: Math.min(maxTokens, merged.maxTokens ?? Infinity) };
  }

  async #reload(withinMs: number): Promise<void> {
    await Promise.resolve(); // until #reloading is set
    this.#limitTurns();
    await this.#loading?.catch(() => undefined);
    if (this.#turns.active > 0) {
      const idle = createDeferred<undefined>();
      this.#onIdle = () => {
        idle.resolve(undefined);
      };
      const timer = setTimeout(this.#onIdle, withinMs);
      await idle.promise;
      clearTimeout(timer);
      this.#onIdle = undefined;
    }
    this.#dropModel();
    await setImmediate(); // closed models free their memory soon, not at once
    await this.load();
  }

  #limitTurns(): void {
    const { maxConcurrent } = this.#options;
    this.#turns.setLimit(this.#reloading === undefined ? fractionOf(maxConcurrent, this.#batchFraction) : 0);
  }

  async #startLoading(): Promise<Model> {
    this.#leaves = false;
    try {
      return await this.#options.inTurn(() => this.#load());
    } finally {
      this.#loading = undefined;
      this.#rest(); // whoever wanted it may be gone
    }
  }

  async #load(): Promise<Model> {
    const { now, onEvent, makeRoom } = this.#options;
    this.#assertOpen();
    makeRoom(this);
    const startedMs = now();
    const model = await this.#loadFile();
    if (this.#closed) {
      model.close();
      throw closedError("tier");
    }
    this.#pace.addLoad((now() - startedMs) / 1000);
    this.#model = model;
    this.#lastUsedMs = now();
    this.#counts.loads += 1;
    this.#limitThreads();
    onEvent("load", this);
    return model;
  }

  /** What the plan did not foresee, models that nobody uses may make up for. */
  async #loadFile(): Promise<Model> {
    const { file, load, freeMemory } = this.#options;
    try {
      return await loadModel(file, load);
    } catch (error) {
      const isShort = error instanceof AirError && memoryCodes.has(error.code);
      if (!isShort || this.#closed || !freeMemory()) throw error;
    }
    await setImmediate(); // closed models free their memory soon, not at once
    return loadModel(file, load);
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError("tier");
  }

  #limitThreads(): void {
    if (this.#model === undefined) return;
    const { threads } = this.#model.info;
    this.#model.limitThreads(fractionOf(threads, this.#threadsFraction));
  }

  /** A caller who stops a request is no failure. */
  #countFailure(error: unknown): void {
    const isStopped = error instanceof AirError && stoppedCodes.has(error.code);
    if (!isStopped) this.#counts.failures += 1;
  }

  #leave(): void {
    this.#turns.leave();
    this.#lastUsedMs = this.#options.now();
    if (this.#turns.active === 0) this.#onIdle?.();
    this.#rest();
  }

  /** Unloads now or in a while, where nobody uses the model. */
  #rest(): void {
    const { idleUnloadMs } = this.#options;
    if (this.#leaves) this.#unloadIfIdle();
    if (this.#turns.active > 0 || this.#model === undefined || idleUnloadMs === Infinity) return;
    this.#stopIdling();
    this.#idleTimer = setTimeout(
      () => {
        this.unload();
      },
      Math.min(idleUnloadMs, longestTimeoutMs),
    ).unref();
  }

  #stopIdling(): void {
    clearTimeout(this.#idleTimer);
    this.#idleTimer = undefined;
  }

  #unloadIfIdle(): void {
    if (this.#turns.active > 0 || this.#loading !== undefined) return;
    this.#dropModel();
  }

  #dropModel(): void {
    if (this.#model === undefined) return;
    this.#stopIdling();
    this.#leaves = false;
    this.#model.close();
    this.#model = undefined;
    this.#counts.unloads += 1;
    this.#options.onEvent("unload", this);
  }
}
