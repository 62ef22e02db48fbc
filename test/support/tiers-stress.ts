/** Mixed requests from many users against a runtime whose tiers come and go, and what has to hold all the while. */
import { AirError, type ErrorCode } from "../../lib/errors/air-error.js";
import { loadModel, type NativeAddon, planModel } from "../../lib/index.js";
import type { AirRuntime } from "../../lib/tiers/air-runtime.js";
import type { AirConfig } from "../../lib/tiers/config.js";
import type { RoutedReply, RoutedResult } from "../../lib/tiers/routed-reply.js";
import type { SensorReading } from "../../lib/tiers/sensors.js";
import { at } from "../../lib/util/array-access.js";
import { createDice, type Dice } from "./dice.js";
import type { StressReport } from "./stress-report.js";
import { planRequests, type StressRequest } from "./stress-requests.js";
import { calm, createRuntime, largeFile, smallFile } from "./tier-runtime.js";

export interface StressOptions {
  readonly requests: number;
  readonly seed: number;
  /** Default: the addon of this package. */
  readonly addon?: NativeAddon;
  /** Makes an addon of its own to compare texts with. */
  readonly referenceAddon?: () => NativeAddon;
  /** Codes of errors that the addon is made to throw. */
  readonly faults?: readonly ErrorCode[];
}

const users = 12;
/** A request that takes longer has been forgotten. */
const forgottenMs = 60_000;
const files = { small: smallFile, middle: smallFile, large: largeFile } as const;
type TierName = keyof typeof files;
const tierNames = Object.keys(files) as readonly TierName[];
const load = { contextTokens: 256, kvTokens: 512, threads: 1 } as const;
/** Failures that a request may meet here. */
const expectedCodes: readonly ErrorCode[] = [
  ...(["AIR_ERR_OVERLOADED", "AIR_ERR_NO_TIER", "AIR_ERR_MEMORY"] as const),
  ...(["AIR_ERR_KV_EXHAUSTED", "AIR_ERR_CONTEXT"] as const),
];

function count(map: Map<string, number>, key: string): void {
  map.set(key, (map.get(key) ?? 0) + 1);
}

/** Heat and memory that jump between levels, each for some readings. */
function swinging(dice: Dice): () => SensorReading {
  let reading = calm;
  return () => {
    if (dice(6) === 0) {
      const heat = at([0, 0, 0.5, 0.7, 0.9, 1], dice(6));
      reading = { ...calm, heat, memory: at([0.2, 0.5, 0.8, 0.94, 0.99], dice(5)) };
    }
    return reading;
  };
}

/** Planned bytes of each tier, without the process. */
async function plannedBytes(): Promise<Readonly<Record<TierName, number>>> {
  const bytes = { small: 0, middle: 0, large: 0 };
  for (const name of tierNames) {
    const { contextTokens, threads, kvTokens } = load;
    const sequences = kvTokens / contextTokens;
    const plan = await planModel(files[name], { contextTokens, threads, sequences });
    bytes[name] = plan.totalBytes - plan.processBytes;
  }
  return bytes;
}

/** One round of stress. */
class Stress {
  readonly #options: StressOptions;
  readonly #bytes: Readonly<Record<TierName, number>>;
  readonly #references = new Map<string, Promise<readonly number[]>>();
  readonly #failures = new Map<string, number>();
  readonly #reasons = new Map<string, number>();
  readonly #complaints: string[] = [];
  readonly #seen = {
    answered: 0,
    aborted: 0,
    loads: 0,
    unloads: 0,
    throttles: 0,
    compared: 0,
    wholePools: 0,
  };
  readonly #shares = { planned: 0, measured: 0 };
  #runtime: AirRuntime | undefined;

  constructor(options: StressOptions, bytes: Readonly<Record<TierName, number>>) {
    this.#options = options;
    this.#bytes = bytes;
  }

  /** Room for two of the three models. */
  get #budgetBytes(): number {
    return this.#bytes.small + this.#bytes.large + 1;
  }

  async run(): Promise<StressReport> {
    const { seed, requests, addon } = this.#options;
    const read = swinging(createDice(seed + 1));
    const runtime = await createRuntime(this.#config(), {
      ...(addon !== undefined && { addon }),
      sensors: { read },
      clock: { nowMs: () => performance.now() * 100 }, // minutes of heat in seconds
      onEvent: ({ kind }) => {
        this.#seen[`${kind}s`] += 1;
        this.#weigh();
      },
    });
    this.#runtime = runtime;
    const plan = planRequests(createDice(seed), requests, tierNames);
    let next = 0;
    const user = async (): Promise<void> => {
      for (let request = plan[next]; request !== undefined; request = plan[next]) {
        next += 1;
        await this.#serve(runtime, request);
      }
    };
    await Promise.all(Array.from({ length: users }, user));
    for (const name of tierNames) {
      const { active = 0, waiting = 0 } = runtime.stats.tiers[name] ?? {};
      if (active + waiting > 0) this.#complaints.push(`${name}: ${active} active, ${waiting} waiting`);
    }
    const { escalations, fallbacks } = runtime.stats;
    await runtime.close();
    return {
      ...this.#seen,
      ...{ escalations, fallbacks, failures: this.#failures, reasons: this.#reasons },
      ...{ plannedShare: this.#shares.planned, measuredShare: this.#shares.measured },
      complaints: this.#complaints,
    };
  }

  #config(): AirConfig {
    const breaker = { openMs: 5 };
    const limits = { maxConcurrent: 3, maxWaiting: 4, idleUnloadSeconds: 0.03, breaker };
    return {
      tiers: tierNames.map((name) => ({ name, model: files[name], ...load, ...limits })),
      router: { kind: "linear", thresholds: [0.35, 0.7] },
      cascade: { minLogprob: -0.15, holdTokens: 8 },
      governor: { intervalMs: 50 },
      memory: this.#budgetBytes,
    };
  }

  /** Compares what is loaded with the budget. */
  #weigh(): void {
    const runtime = this.#runtime;
    if (runtime === undefined) return;
    const loaded = tierNames.filter((name) => runtime.model(name) !== undefined);
    const planned = loaded.reduce((sum, name) => sum + this.#bytes[name], 0) / this.#budgetBytes;
    const measured = loaded.reduce((sum, name) => {
      const { weightBytes = 0, kvBytes = 0, workspaceBytes = 0 } = runtime.model(name)?.memory() ?? {};
      return sum + weightBytes + kvBytes + workspaceBytes;
    }, 0);
    this.#shares.planned = Math.max(this.#shares.planned, planned);
    this.#shares.measured = Math.max(this.#shares.measured, measured / this.#budgetBytes);
  }

  async #serve(runtime: AirRuntime, request: StressRequest): Promise<void> {
    const { pauseMs, action, abortMs } = request;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    if (action?.kind === "unload") runtime.unload(action.tier);
    // Like that of a request, the load may find no room.
    if (action?.kind === "load")
      runtime.load(action.tier).catch((error: unknown) => {
        if (!this.#isExpected(error)) this.#complain(request, `load: ${String(error)}`);
      });
    const abort = new AbortController();
    const timer =
      abortMs === undefined
        ? undefined
        : setTimeout(() => {
            abort.abort();
          }, abortMs);
    const forgotten = new Promise<never>((_resolve, reject) => {
      setTimeout(() => {
        reject(new Error("it never ended"));
      }, forgottenMs).unref();
    });
    try {
      const reply = runtime.generate(request.prompt, { ...request.options, signal: abort.signal });
      reply.decision.then(
        ({ reason }) => {
          count(this.#reasons, reason);
        },
        () => undefined,
      );
      const streamed = await Promise.race([read(reply, request), forgotten]);
      const result = await Promise.race([reply.result, forgotten]);
      this.#seen.answered += 1;
      await this.#check(request, result, streamed);
    } catch (error) {
      this.#judge(error, request);
    } finally {
      clearTimeout(timer);
    }
    this.#checkPages(runtime, request);
  }

  /** Every failure has to be one that the request can have had. */
  #judge(error: unknown, request: StressRequest): void {
    const code = error instanceof AirError ? error.code : undefined;
    if (code === "AIR_ERR_CANCELLED" && (request.abortMs !== undefined || request.reads === "some")) {
      this.#seen.aborted += 1;
      return;
    }
    if (this.#isExpected(error)) count(this.#failures, error.code);
    else this.#complain(request, String(error));
  }

  #isExpected(error: unknown): error is AirError {
    const allowed = [...expectedCodes, ...(this.#options.faults ?? [])];
    return error instanceof AirError && allowed.includes(error.code);
  }

  async #check(request: StressRequest, result: RoutedResult, streamed: string | undefined): Promise<void> {
    const { options, reads } = request;
    const { tier, text, tokens, finishReason, attempts } = result;
    if (streamed !== undefined && streamed !== text)
      this.#complain(request, `"${streamed}" is not "${text}"`);
    if (finishReason === "abort" && reads !== "some") this.#complain(request, "nobody left it");
    if (options.tier !== undefined && tier !== options.tier) this.#complain(request, `${tier} answered`);
    if (at(attempts, attempts.length - 1).tier !== tier) this.#complain(request, "another one answered");
    if (options.temperature !== 0 || options.schema !== undefined) return;
    const reference = await this.#reference(tier as TierName, request);
    const isSame = tokens.every((token, index) => token === reference[index]);
    const isWhole = finishReason !== "stop" || tokens.length === reference.length;
    if (!isSame || !isWhole)
      this.#complain(request, `${tier} says [${tokens.join()}], not [${reference.join()}]`);
    this.#seen.compared += 1;
  }

  /** What a model says to a prompt when it is alone. */
  #reference(tier: TierName, { prompt }: StressRequest): Promise<readonly number[]> {
    const key = JSON.stringify([files[tier], prompt]);
    const known = this.#references.get(key);
    if (known !== undefined) return known;
    const compute = async (): Promise<readonly number[]> => {
      const addon = this.#options.referenceAddon?.();
      using model = await loadModel(files[tier], {
        ...load,
        force: true,
        ...(addon !== undefined && { addon }),
      });
      using session = model.createSession();
      return (await session.generate(prompt, { maxTokens: 64 }).result).tokens;
    };
    const reference = compute();
    this.#references.set(key, reference);
    return reference;
  }

  /** All pages of a model that nobody uses have to be free, those of shared beginnings included. */
  #checkPages(runtime: AirRuntime, request: StressRequest): void {
    for (const name of tierNames) {
      const stats = runtime.model(name)?.stats;
      if (stats === undefined || runtime.stats.tiers[name]?.active !== 0) continue;
      this.#seen.wholePools += 1;
      if (stats.freePages !== stats.usablePages)
        this.#complain(request, `${name} has ${stats.freePages} of ${stats.usablePages} pages`);
    }
  }

  #complain(request: StressRequest, text: string): void {
    this.#complaints.push(`request ${request.index}: ${text}`);
  }
}

/** Reads as the request says; the text when all of it was read. */
async function read(reply: RoutedReply, { reads }: StressRequest): Promise<string | undefined> {
  if (reads === "none") return undefined;
  let text = "";
  let chunks = 0;
  for await (const chunk of reply) {
    text += chunk.text;
    chunks += 1;
    if (reads === "some" && chunks >= 2) return undefined;
  }
  return text;
}

/** Puts a runtime of three tiers, of which two fit the memory, under stress. */
export async function stress(options: StressOptions): Promise<StressReport> {
  return new Stress(options, await plannedBytes()).run();
}
