import { randomUUID } from "node:crypto";

import type { FastifyBaseLogger } from "fastify";

import { AirError } from "../errors/air-error.js";
import { baselineKey, type GoldenBaselines } from "./golden-baselines.js";
import { loadedModel, type ServedRuntime } from "./served-runtime.js";

/** How a tier stands. */
export type GoldenState = "unchecked" | "healthy" | "reloading" | "unhealthy";

/** What is known of a tier. */
export interface GoldenReport {
  readonly state: GoldenState;
  readonly detail: string;
  /** When it was last compared, in milliseconds since 1970; null before. */
  readonly checkedAt: number | null;
  readonly checks: number;
  readonly divergences: number;
  readonly reloads: number;
}

/** Whether answers of a tier are to be relied on, as far as is known. */
export function isTrusted({ state }: GoldenReport): boolean {
  return state !== "unhealthy" && state !== "reloading";
}

/** Settings of a {@link GoldenCheck}. */
export interface GoldenSettings {
  readonly prompt: string;
  readonly maxTokens: number;
  /** Time that a check may take; one that is late says nothing. */
  readonly timeoutMs: number;
}

/** Errors that say nothing about the model: it had no time or no room. */
const noVerdict: ReadonlySet<string> = new Set([
  ...["AIR_ERR_OVERLOADED", "AIR_ERR_TIMEOUT", "AIR_ERR_CANCELLED", "AIR_ERR_CLOSED", "AIR_ERR_NO_TIER"],
  ...["AIR_ERR_KV_EXHAUSTED", "AIR_ERR_MEMORY", "AIR_ERR_OUT_OF_MEMORY"],
]);

/** What a run of the prompt came to. */
type Outcome =
  | { readonly kind: "same" }
  | { readonly kind: "skipped" }
  | { readonly kind: "diverged"; readonly how: string };

const unchecked: GoldenReport = {
  ...{ state: "unchecked", detail: "It was not compared yet.", checkedAt: null },
  ...{ checks: 0, divergences: 0, reloads: 0 },
};

/**
 * Asks loaded models the same question again and again. A model answers bit by bit as before, under any load and on any
 * machine; one that does not has broken weights, memory or kernels. It is loaded again once, and not trusted after that.
 */
export class GoldenCheck {
  readonly #runtime: ServedRuntime;
  readonly #baselines: GoldenBaselines;
  readonly #settings: GoldenSettings;
  readonly #logger: FastifyBaseLogger | undefined;
  readonly #reports = new Map<string, GoldenReport>();
  readonly #ended = new AbortController();
  #running: Promise<void> | undefined;

  constructor(
    runtime: ServedRuntime,
    baselines: GoldenBaselines,
    settings: GoldenSettings,
    logger?: FastifyBaseLogger,
  ) {
    this.#runtime = runtime;
    this.#baselines = baselines;
    this.#settings = settings;
    this.#logger = logger;
  }

  /** By tier: those of this machine. */
  get reports(): Readonly<Record<string, GoldenReport>> {
    const names = this.#runtime.localTierNames;
    return Object.fromEntries(names.map((name) => [name, this.#reports.get(name) ?? unchecked]));
  }

  /** Why tiers are not trusted now, in words. */
  get problems(): readonly string[] {
    return [...this.#reports]
      .filter(([, report]) => !isTrusted(report))
      .map(([tier, { detail }]) => `The model of ${tier} no longer says what it said. ${detail}`);
  }

  /** Checks all tiers that are loaded, one after the other; calls while a check runs wait for that one. Never rejects. */
  async run(): Promise<void> {
    this.#running ??= this.#checkAll().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  /** Ends the check that runs, and all that follow. */
  async close(): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }

  async #checkAll(): Promise<void> {
    for (const tier of this.#runtime.localTierNames) {
      const isSettled = this.#reports.get(tier)?.state === "unhealthy";
      if (this.#ended.signal.aborted || isSettled || loadedModel(this.#runtime, tier) === undefined) continue;
      try {
        await this.#check(tier);
      } catch (error) {
        this.#logger?.error({ tier, cause: codeOf(error) }, "a golden check failed");
      }
    }
  }

  async #check(tier: string): Promise<void> {
    const first = await this.#ask(tier);
    if (first.kind === "skipped") return;
    if (first.kind === "same") {
      this.#note(tier, "healthy", "It says what it always said.");
      return;
    }
    this.#note(tier, "reloading", `${first.how} It is being loaded again.`, { divergences: 1 });
    this.#logger?.error({ tier, how: first.how }, "a model no longer says what it said; it is loaded again");
    try {
      await this.#runtime.reload(tier);
    } catch (error) {
      if (this.#ended.signal.aborted) return;
      this.#note(tier, "unhealthy", `${first.how} It could not be loaded again (${codeOf(error)}).`);
      return;
    }
    const second = await this.#askUntilAnswered(tier);
    if (second.kind === "diverged") {
      this.#logger?.error({ tier, how: second.how }, "a model is not healthy after it was loaded again");
      const detail = `${second.how} Loading it again did not help.`;
      this.#note(tier, "unhealthy", detail, { divergences: 1, reloads: 1 });
    } else if (second.kind === "same") {
      this.#note(tier, "healthy", "It says what it always said since it was loaded again.", { reloads: 1 });
    } else this.#note(tier, "unhealthy", `${first.how} It could not be asked again.`, { reloads: 1 });
  }

  /** After a reload everybody waits for a turn, so that the first try may come to nothing. */
  async #askUntilAnswered(tier: string): Promise<Outcome> {
    let outcome: Outcome = { kind: "skipped" };
    for (let tries = 0; tries < 5 && outcome.kind === "skipped"; tries += 1) {
      if (this.#ended.signal.aborted) break;
      outcome = await this.#ask(tier);
    }
    return outcome;
  }

  async #ask(tier: string): Promise<Outcome> {
    const { prompt, maxTokens, timeoutMs } = this.#settings;
    const model = loadedModel(this.#runtime, tier);
    if (model === undefined) return { kind: "skipped" };
    const key = baselineKey(model.identity, prompt, maxTokens);
    let tokens: readonly number[];
    try {
      const reply = this.#runtime.generate(prompt, {
        ...{ tier, maxTokens, temperature: 0, speculation: "off", timeoutMs, signal: this.#ended.signal },
        // Nothing that was computed before may take the place of computing it.
        ...{ cacheSalt: randomUUID(), user: "golden check" },
      });
      ({ tokens } = await reply.result);
    } catch (error) {
      if (error instanceof AirError && noVerdict.has(error.code)) return { kind: "skipped" };
      return { kind: "diverged", how: `It failed with ${codeOf(error)}.` };
    }
    const baseline = this.#baselines.get(key);
    if (baseline === undefined) {
      await this.#baselines.set(key, tokens);
      return { kind: "same" };
    }
    const place = tokens.findIndex((token, index) => token !== baseline[index]);
    if (place < 0 && tokens.length === baseline.length) return { kind: "same" };
    return {
      kind: "diverged",
      how: `Its answer to the golden prompt differs from token ${place < 0 ? tokens.length : place} on.`,
    };
  }

  #note(tier: string, state: GoldenState, detail: string, more: Partial<GoldenReport> = {}): void {
    const before = this.#reports.get(tier) ?? unchecked;
    this.#reports.set(tier, {
      ...{ state, detail, checkedAt: Date.now() },
      checks: before.checks + 1,
      divergences: before.divergences + (more.divergences ?? 0),
      reloads: before.reloads + (more.reloads ?? 0),
    });
  }
}

function codeOf(error: unknown): string {
  return error instanceof AirError ? error.code : "AIR_ERR_INTERNAL";
}
