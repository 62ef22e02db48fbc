import { AirError, invalidArgument } from "../errors/air-error.js";
import type { Complexity, ComplexityClassifier } from "../routing/complexity.js";
import type { RouteDecision, TierState } from "../routing/decision.js";
import { chooseTier, defaultPolicySettings } from "../routing/policy.js";
import type { RequestSize } from "../routing/prediction.js";
import { GenerationStream } from "../runtime/generation.js";
import { closedError } from "../runtime/model-core.js";
import type { Model } from "../runtime/model.js";
import { at } from "../util/array-access.js";
import { createDeferred } from "../util/deferred.js";
import { without } from "../util/options.js";
import { type AirConfig, parseConfig, type ResolvedConfig } from "./config.js";
import type { LocalTier } from "./local-tier.js";
import { MovingAverage } from "./moving-average.js";
import type { Governor } from "./governor.js";
import { assertPrompt, estimateTokens, fewestTokens } from "./prompt.js";
import type { RoutedReply, RoutedResult } from "./routed-reply.js";
import { RoutedRun } from "./routed-run.js";
import { createGovernor, createRouter, isResolved, listenerOf } from "./runtime-parts.js";
import type {
  AirRuntimeExtras,
  RoutedEmbeddings,
  RoutedEmbedOptions,
  RoutedOptions,
  RoutePreview,
  RuntimeStats,
} from "./runtime-types.js";
import type { TierInput } from "./tier.js";
import { TierFleet } from "./tier-fleet.js";

/** The options that no tier has to know. */
const routingNames = [
  ...(["tier", "minTier", "maxTier", "deadlineMs", "localOnly", "cacheSalt", "cascade"] as const),
];

/** Who reads a reply, and the run that works for them once there is one. */
interface Reader {
  isGone: boolean;
  run?: RoutedRun;
}

/** Tokens of an answer before any was measured. */
const assumedAnswerTokens = 128;

/**
 * Tiers of models behind one router: each request goes to the smallest tier that can handle it, as things are.
 *
 * @example
 * await using runtime = await AirRuntime.create({
 *   tiers: [{ name: "small", model: "small.gguf" }, { name: "large", model: "large.gguf", draft: "small.gguf" }],
 * });
 * const reply = runtime.generate([{ role: "user", content: "What is the capital of France?" }]);
 * for await (const { text } of reply) process.stdout.write(text);
 * console.log((await reply.result).tier);
 */
export class AirRuntime {
  readonly #config: ResolvedConfig;
  readonly #fleet: TierFleet;
  readonly #classifier: ComplexityClassifier;
  readonly #thresholds: readonly number[];
  readonly #governor: Governor;
  readonly #answerTokens = new MovingAverage(0.1);
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  readonly #answeredBy = new Map<string, number>();
  readonly #counts = { requests: 0, answered: 0, failed: 0, escalations: 0, fallbacks: 0 };

  private constructor(
    config: ResolvedConfig,
    fleet: TierFleet,
    classifier: ComplexityClassifier,
    thresholds: readonly number[],
    governor: Governor,
  ) {
    this.#config = config;
    this.#fleet = fleet;
    this.#classifier = classifier;
    this.#thresholds = thresholds;
    this.#governor = governor;
  }

  /**
   * Makes a runtime. Headers of local models are read; models are loaded when a request needs them, or now if they are to
   * be preloaded.
   *
   * @throws {AirError} AIR_ERR_CONFIG, AIR_ERR_ROUTER_FILE, and as planModel() and loadModel()
   */
  static async create(
    config: AirConfig | ResolvedConfig,
    extras: AirRuntimeExtras = {},
  ): Promise<AirRuntime> {
    const resolved = isResolved(config) ? config : parseConfig(config);
    const { addon } = extras;
    const onEvent = listenerOf(extras);
    const { classifier, thresholds } = await createRouter(resolved, extras.classifier);
    const fleet = await TierFleet.create(resolved.tiers, {
      memoryBytes: resolved.memory,
      addon,
      now: () => performance.now(),
      onEvent: (kind, tier) => {
        onEvent({ kind, tier });
      },
    });
    const governor = createGovernor(resolved.governor, fleet, extras);
    const runtime = new AirRuntime(resolved, fleet, classifier, thresholds, governor);
    if (resolved.governor !== false) governor.start();
    try {
      for (const [index, tier] of resolved.tiers.entries())
        if (tier.kind === "local" && tier.preload) await runtime.load(at(fleet.tiers, index).name);
    } catch (error) {
      await runtime.close();
      throw error;
    }
    return runtime;
  }

  /** Names of the tiers, the smallest first. */
  get tierNames(): readonly string[] {
    return this.#fleet.tiers.map(({ name }) => name);
  }

  /** Those of this machine. */
  get localTierNames(): readonly string[] {
    return this.#fleet.locals.map(({ name }) => name);
  }

  /**
   * The model of a local tier; undefined while it is not loaded. The runtime goes on to use it, and closes it.
   *
   * @throws {AirArgumentError} AIR_ERR_ARGUMENT for a name that no local tier has
   */
  model(tier: string): Model | undefined {
    return this.#local(tier).model;
  }

  get stats(): RuntimeStats {
    const tiers = this.#fleet.tiers.map((tier) => {
      const answered = this.#answeredBy.get(tier.name) ?? 0;
      return [tier.name, { ...tier.stats(), answered, isLoaded: tier.state().isReady }] as const;
    });
    return {
      ...this.#counts,
      tiers: Object.fromEntries(tiers),
      pressure: this.#governor.pressures(this.#fleet.queuePressure),
      machine: this.#governor.state().reading,
    };
  }

  /**
   * Says where a request would go now, without sending it there.
   *
   * @throws {AirError} AIR_ERR_ARGUMENT, AIR_ERR_NO_TIER, AIR_ERR_CLOSED
   */
  async route(input: TierInput, options: RoutedOptions = {}): Promise<RoutePreview> {
    this.#assertOpen();
    assertPrompt(input);
    const complexity = await this.#classifier.classify(input);
    const decision = this.#decide(input, options, complexity, new Set(), 0);
    return { decision, complexity, evidence: this.#classifier.explain?.(input, 8) ?? [] };
  }

  /**
   * Answers a request on the tier that the router picks. The reply says which one, and why.
   *
   * @param input - raw text to continue, or messages for the chat template of the tier
   * @throws {AirError} through the reply: AIR_ERR_NO_TIER, AIR_ERR_OVERLOADED, AIR_ERR_CANCELLED, and as session.generate();
   *   failures of a tier only when no other one may answer, or when part of the answer was already handed out
   */
  generate(input: TierInput, options: RoutedOptions = {}): RoutedReply {
    this.#assertOpen();
    const decided = createDeferred<RouteDecision>();
    decided.promise.catch(() => undefined); // whoever reads the decision handles it; nobody has to
    const reader: Reader = { isGone: false };
    const stream = new GenerationStream<RoutedResult>(() => {
      reader.isGone = true;
      reader.run?.leave();
    });
    this.#counts.requests += 1;
    let latest: RouteDecision | undefined;
    const onDecision = (decision: RouteDecision): void => {
      latest = decision;
      decided.resolve(decision);
    };
    const work = this.#serve(input, options, stream, reader, onDecision).catch((error: unknown) => {
      this.#counts.failed += 1;
      decided.reject(error);
      stream.fail(error);
    });
    this.#running.add(work);
    void work.then(() => this.#running.delete(work));
    return Object.assign(stream, { decision: decided.promise, latestDecision: () => latest });
  }

  /**
   * Texts as vectors of length 1, by a local tier: the one that is named, else always the smallest, as vectors of
   * different models cannot be compared.
   *
   * @throws {AirError} AIR_ERR_ARGUMENT for a name that no local tier has, AIR_ERR_OVERLOADED; as loadModel() and
   *   model.embed()
   */
  async embed(texts: readonly string[], options: RoutedEmbedOptions = {}): Promise<RoutedEmbeddings> {
    this.#assertOpen();
    const { tier: name, ...embedOptions } = options;
    const tier = this.#local(name ?? this.localTierNames[0] ?? "");
    const work = tier.embed(texts, embedOptions);
    const settled = work.catch(() => undefined);
    this.#running.add(settled);
    void settled.then(() => this.#running.delete(settled));
    return { tier: tier.name, embeddings: await work };
  }

  /**
   * Loads a local tier now.
   *
   * @throws {AirError} AIR_ERR_ARGUMENT for a name that no local tier has; as loadModel()
   */
  async load(tier: string): Promise<void> {
    this.#assertOpen();
    await this.#local(tier).load();
  }

  /**
   * Unloads a local tier: now, or when the requests that use it are over. The next request that needs it loads it again.
   *
   * @throws {AirArgumentError} AIR_ERR_ARGUMENT for a name that no local tier has
   */
  unload(tier: string): void {
    this.#local(tier).unload();
  }

  /**
   * Loads a local tier again from its file. Requests that come meanwhile wait; those under way get `withinMs` to finish
   * and then end with AIR_ERR_CLOSED.
   *
   * @throws {AirError} AIR_ERR_ARGUMENT for a name that no local tier has; as loadModel()
   */
  async reload(tier: string, withinMs = 30_000): Promise<void> {
    this.#assertOpen();
    await this.#local(tier).reload(withinMs);
  }

  /** Ends all requests with AIR_ERR_CLOSED and frees all models. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort(closedError("runtime"));
    this.#governor.stop();
    await this.#fleet.close();
    await Promise.all(this.#running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #serve(
    input: TierInput,
    options: RoutedOptions,
    stream: GenerationStream<RoutedResult>,
    reader: Reader,
    onDecision: (decision: RouteDecision) => void,
  ): Promise<void> {
    const { cacheSalt, cascade, tier } = options;
    const startedMs = performance.now();
    assertPrompt(input);
    const complexity = await this.#classifier.classify(input);
    const run = new RoutedRun({
      input,
      options: without(options, routingNames),
      cacheSalt,
      cascade: cascade === false || tier !== undefined ? undefined : this.#config.cascade,
      tierOf: (index) => at(this.#fleet.tiers, index),
      decide: (excluded, floor) => {
        const hints = remaining(options, performance.now() - startedMs);
        return this.#decide(input, hints, complexity, excluded, floor);
      },
      onDecision,
      onChunk: (chunk) => {
        stream.push(chunk);
      },
      now: () => performance.now(),
    });
    reader.run = run;
    if (reader.isGone) run.leave();
    const result = await run.run();
    this.#count(result);
    stream.finish(result);
  }

  #count({ tier, tokens, attempts }: RoutedResult): void {
    this.#counts.answered += 1;
    this.#counts.escalations += attempts.filter(({ outcome }) => outcome === "rejected").length;
    if (attempts.some(({ outcome }) => outcome === "failed")) this.#counts.fallbacks += 1;
    this.#answeredBy.set(tier, (this.#answeredBy.get(tier) ?? 0) + 1);
    if (tokens.length > 0) this.#answerTokens.add(tokens.length);
  }

  #decide(
    input: TierInput,
    options: RoutedOptions,
    complexity: Complexity,
    excluded: ReadonlySet<number>,
    floor: number,
  ): RouteDecision {
    this.#assertOpen();
    const { maxTokens = Infinity } = options;
    const isOut = (index: number): boolean => excluded.has(index) || index < floor;
    const chooseFrom = (tiers: readonly TierState[], size: RequestSize): RouteDecision =>
      chooseTier({
        complexity,
        thresholds: this.#thresholds,
        tiers: tiers.map((tier, index) => (isOut(index) ? { ...tier, isAvailable: false } : tier)),
        pressure: this.#governor.pressures(this.#fleet.queuePressure),
        hints: options,
        settings: defaultPolicySettings,
        ...size,
      });
    const { tiers } = this.#fleet;
    const promptTokens = estimateTokens(input);
    const expectedTokens = Math.round(this.#answerTokens.valueOr(assumedAnswerTokens));
    try {
      const size = { promptTokens, expectedTokens: Math.min(maxTokens, expectedTokens) };
      return chooseFrom(
        tiers.map((tier) => tier.state()),
        size,
      );
    } catch (error) {
      if (floor > 0 || !(error instanceof AirError) || error.code !== "AIR_ERR_NO_TIER") throw error;
      // Neither an estimate nor a queue refuses by itself: the tier does, with AIR_ERR_CONTEXT or AIR_ERR_OVERLOADED.
      const states = tiers.map((tier) =>
        tier.isFull ? { ...tier.state(), isAvailable: true } : tier.state(),
      );
      try {
        return chooseFrom(states, { promptTokens: fewestTokens(input), expectedTokens: 1 });
      } catch {
        throw error;
      }
    }
  }

  #local(name: string): LocalTier {
    const tier = this.#fleet.locals.find((local) => local.name === name);
    if (tier !== undefined) return tier;
    const names = this.#fleet.locals.map((local) => local.name).join(", ");
    throw invalidArgument("tier", `a local tier (${names})`, name);
  }

  #assertOpen(): void {
    if (this.#closing.signal.aborted) throw closedError("runtime");
  }
}

/** The options for a tier that is picked after some time. */
function remaining(options: RoutedOptions, elapsedMs: number): RoutedOptions {
  const { deadlineMs } = options;
  return deadlineMs === undefined ? options : { ...options, deadlineMs: Math.max(0, deadlineMs - elapsedMs) };
}
