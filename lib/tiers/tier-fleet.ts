import type { MemoryPlan } from "../cache/memory-plan.js";
import { AirCapacityError } from "../errors/air-error.js";
import type { NativeAddon } from "../native/native.js";
import type { LoadModelOptions } from "../runtime/options.js";
import { planModel } from "../runtime/plan-model.js";
import { pickGiven, without } from "../util/options.js";
import { formatBytes } from "../util/quantities.js";
import type { TierConfig } from "./config.js";
import type { LocalTierConfig } from "./local-options.js";
import { LocalTier } from "./local-tier.js";
import { modelsToUnload } from "./memory-budget.js";
import { RemoteMember } from "./remote-member.js";
import type { Tier } from "./tier.js";

export interface TierFleetOptions {
  /** Memory for all local models together, in bytes. Default: as much as loading finds. */
  readonly memoryBytes?: number | undefined;
  readonly addon?: NativeAddon | undefined;
  readonly now: () => number;
  readonly onEvent: (event: "load" | "unload", tier: string) => void;
}

const loadNames = [
  ...(["contextTokens", "kvTokens", "kv", "kvKeys", "kvValues", "rotateKeys", "window", "sinks"] as const),
  ...(["heads", "threads", "cpuList", "priority", "packCache", "draft", "pageTokens"] as const),
  ...(["maxBatchTokens", "prefixCache", "stepStretch", "device", "gpuLayers"] as const),
];
const planNames = [
  ...(["contextTokens", "kv", "kvKeys", "kvValues", "window", "sinks", "heads", "threads"] as const),
  ...(["draft", "pageTokens", "maxBatchTokens"] as const),
];

/** What a tier takes; with kvTokens its cache holds as many texts of full length as they make. */
async function planTier({ model, kvTokens = 0, ...rest }: LocalTierConfig): Promise<MemoryPlan> {
  const options = pickGiven(rest, planNames);
  const plan = await planModel(model, options);
  const sequences = Math.ceil(kvTokens / plan.contextTokens);
  return sequences <= 1 ? plan : planModel(model, { ...options, sequences });
}

/** All tiers of a runtime, which share the machine's memory. */
export class TierFleet {
  readonly tiers: readonly Tier[];
  readonly #options: TierFleetOptions;
  /** Loads go one after the other, so that each finds the memory as it is. */
  #lastLoad: Promise<void> = Promise.resolve();

  /** Reads the headers of local models; loads nothing. @throws {AirError} as planModel() */
  static async create(configs: readonly TierConfig[], options: TierFleetOptions): Promise<TierFleet> {
    const makers = await Promise.all(
      configs.map(async (config) => {
        if (config.kind === "remote") return () => new RemoteMember(without(config, ["kind"]));
        const plan = await planTier(config);
        return (fleet: TierFleet) => fleet.#createLocal(config, plan);
      }),
    );
    return new TierFleet(makers, options);
  }

  private constructor(makers: readonly ((fleet: TierFleet) => Tier)[], options: TierFleetOptions) {
    this.#options = options;
    this.tiers = makers.map((make) => make(this));
  }

  get locals(): readonly LocalTier[] {
    return this.tiers.filter((tier) => tier instanceof LocalTier);
  }

  /** Requests that wait, of those that may: the worst of all tiers. */
  get queuePressure(): number {
    return Math.max(0, ...this.locals.map(({ queuePressure }) => queuePressure));
  }

  /** Memory of the models that nobody uses. */
  get idleBytes(): number {
    return this.#idle.reduce((sum, { budget }) => sum + budget.bytes, 0);
  }

  /** Unloads the models that nobody uses; whether there were any. */
  unloadIdle(): boolean {
    const idle = this.#idle;
    for (const tier of idle) tier.unload();
    return idle.length > 0;
  }

  /** See LocalTier.throttle(). */
  throttle(threadsFraction: number, batchFraction: number): void {
    for (const tier of this.locals) tier.throttle(threadsFraction, batchFraction);
  }

  async close(): Promise<void> {
    await Promise.all(this.tiers.map((tier) => tier.close()));
  }

  get #idle(): readonly LocalTier[] {
    return this.locals.filter(({ budget: { isLoaded, isIdle } }) => isLoaded && isIdle);
  }

  #createLocal(config: LocalTierConfig, plan: MemoryPlan): LocalTier {
    const { memoryBytes, addon, now, onEvent } = this.#options;
    const load: LoadModelOptions = {
      ...pickGiven(config, loadNames),
      // The budget has been checked; the model's own check would not know what the others take.
      ...(memoryBytes !== undefined && { force: true }),
      ...(addon !== undefined && { addon }),
    };
    const { idleUnloadSeconds, maxTokens, maxConcurrent, maxWaiting, name, model, defaults } = config;
    return new LocalTier({
      name,
      file: model,
      load,
      plan,
      defaults: pickGiven(defaults, [
        ...(["temperature", "topK", "topP", "minP", "repetitionPenalty", "speculation"] as const),
      ]),
      maxTokens,
      maxConcurrent,
      maxWaiting,
      idleUnloadMs: idleUnloadSeconds === 0 ? Infinity : idleUnloadSeconds * 1000,
      inTurn: (work) => this.#inTurn(work),
      makeRoom: (tier) => {
        this.#makeRoom(tier);
      },
      freeMemory: () => this.unloadIdle(),
      now,
      onEvent: (event, { name: tier }) => {
        onEvent(event, tier);
      },
    });
  }

  async #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const before = this.#lastLoad;
    const mine = before.then(work);
    this.#lastLoad = mine.then(
      () => undefined,
      () => undefined,
    );
    return mine;
  }

  /** @throws {AirCapacityError} AIR_ERR_MEMORY when the model does not fit beside those that are in use */
  #makeRoom(tier: LocalTier): void {
    const { memoryBytes = Infinity } = this.#options;
    const budgets = this.locals.map(({ budget }) => budget);
    const names = modelsToUnload(tier.budget, budgets, memoryBytes);
    if (names === undefined) {
      throw new AirCapacityError(
        "AIR_ERR_MEMORY",
        `expected ${formatBytes(tier.budget.bytes)} of the budget of ${formatBytes(memoryBytes)} for tier ${tier.name} ` +
          "but received less, as models in use take the rest",
      );
    }
    for (const other of this.locals) if (names.includes(other.name)) other.unload();
  }
}
