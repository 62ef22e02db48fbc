import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

import type { RoutedResult } from "../tiers/routed-reply.js";
import { completionTokens } from "./reply-parts.js";
import { addRuntimeMetrics } from "./runtime-metrics.js";
import { loadedModel, type ServedRuntime } from "./served-runtime.js";

/** Upper edges in seconds: of times to a first token and of whole requests, and of the time between two tokens. */
const requestBuckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const tokenBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6];

/** Part that a new request has in the mean duration. */
const durationWeight = 0.1;

/** What a server counts and measures, in a registry of its own. No label has anything that a client chose. */
export class ServerMetrics {
  readonly registry = new Registry();
  readonly #requests;
  readonly #requestSeconds;
  readonly #tokens;
  readonly #firstTokenSeconds;
  readonly #interTokenSeconds;
  readonly #routed;
  readonly #drafted;
  readonly #accepted;
  readonly #inFlight;
  #meanSeconds = 1;

  constructor(runtime: ServedRuntime) {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    const counter = <Name extends string>(name: string, help: string, labelNames: readonly Name[]) =>
      new Counter({ name, help, labelNames, registers });
    const histogram = <Name extends string>(
      name: string,
      help: string,
      labelNames: readonly Name[],
      buckets: number[],
    ) => new Histogram({ name, help, labelNames, buckets, registers });
    this.#requests = counter("air_requests_total", "Responses by route and status", ["route", "status"]);
    this.#requestSeconds = histogram(
      ...(["air_request_seconds", "From the request to the end of its response"] as const),
      ["route"],
      requestBuckets,
    );
    this.#tokens = counter("air_tokens_total", "Tokens: of prompts, of those reused, generated, embedded", [
      "tier",
      "kind",
    ]);
    this.#firstTokenSeconds = histogram(
      ...(["air_time_to_first_token_seconds", "From the call of a tier to the first token"] as const),
      ["tier"],
      requestBuckets,
    );
    this.#interTokenSeconds = histogram(
      ...(["air_inter_token_seconds", "Mean time between the tokens of an answer"] as const),
      ["tier"],
      tokenBuckets,
    );
    this.#routed = counter("air_routed_total", "Answers by tier and by what decided", ["tier", "reason"]);
    this.#drafted = counter("air_speculative_drafted_total", "Draft tokens that were verified", ["tier"]);
    this.#accepted = counter("air_speculative_accepted_total", "Draft tokens that were accepted", ["tier"]);
    this.#inFlight = new Gauge({
      name: "air_requests_in_flight",
      help: "Requests that are being answered",
      registers,
    });
    this.#watch(runtime);
    addRuntimeMetrics(this.registry, runtime);
  }

  /** Mean duration of recent requests for an answer, in seconds. */
  get meanSeconds(): number {
    return this.#meanSeconds;
  }

  /** A request for an answer has begun; call the result at its end. */
  begin(): () => void {
    const startedMs = performance.now();
    this.#inFlight.inc();
    return () => {
      this.#inFlight.dec();
      const seconds = (performance.now() - startedMs) / 1000;
      this.#meanSeconds += durationWeight * (seconds - this.#meanSeconds);
    };
  }

  response(route: string, status: number, milliseconds: number): void {
    this.#requests.inc({ route, status: String(status) });
    this.#requestSeconds.observe({ route }, milliseconds / 1000);
  }

  embedded(tier: string, tokens: number): void {
    this.#tokens.inc({ tier, kind: "embedded" }, tokens);
  }

  answered(result: RoutedResult): void {
    const { tier, promptTokens, reusedTokens, timings, decision, speculative } = result;
    const tokens = completionTokens(result);
    this.#tokens.inc({ tier, kind: "prompt" }, promptTokens);
    this.#tokens.inc({ tier, kind: "reused" }, reusedTokens);
    this.#tokens.inc({ tier, kind: "generated" }, tokens);
    this.#routed.inc({ tier, reason: decision.reason });
    this.#firstTokenSeconds.observe({ tier }, timings.timeToFirstTokenMs / 1000);
    if (tokens > 1) this.#interTokenSeconds.observe({ tier }, timings.decodeMs / 1000 / (tokens - 1));
    if (speculative === undefined) return;
    this.#drafted.inc({ tier }, speculative.drafted);
    this.#accepted.inc({ tier }, speculative.accepted);
  }

  /** Figures that are read from the runtime whenever somebody asks. */
  #watch(runtime: ServedRuntime): void {
    const registers = [this.registry];
    const byTier = (name: string, help: string, read: (tier: string) => number | undefined): void => {
      const gauge = new Gauge({
        ...{ name, help, registers },
        labelNames: ["tier"],
        collect: () => {
          for (const tier of runtime.tierNames) {
            const value = read(tier);
            if (value === undefined) gauge.remove(tier);
            else gauge.set({ tier }, value);
          }
        },
      });
    };
    byTier("air_tier_active", "Answers that are computed", (tier) => runtime.stats.tiers[tier]?.active);
    byTier("air_tier_waiting", "Requests that wait for a turn", (tier) => runtime.stats.tiers[tier]?.waiting);
    byTier("air_tier_loaded", "1 while the model is loaded", (tier) =>
      runtime.stats.tiers[tier]?.isLoaded === true ? 1 : 0,
    );
    byTier(
      "air_kv_pages_free",
      "KV pages that nobody uses",
      (tier) => loadedModel(runtime, tier)?.stats.freePages,
    );
    byTier("air_kv_pages", "KV pages", (tier) => loadedModel(runtime, tier)?.stats.usablePages);
    const total = (name: string, help: string, read: () => number): void => {
      const gauge = new Gauge({
        ...{ name, help, registers },
        collect: () => {
          gauge.set(read());
        },
      });
    };
    total(
      "air_escalations",
      "Answers that went on to a larger tier, so far",
      () => runtime.stats.escalations,
    );
    total("air_fallbacks", "Requests that another tier answered, so far", () => runtime.stats.fallbacks);
    const pressure = new Gauge({
      name: "air_pressure",
      help: "How strained the machine is, 0 to 1",
      labelNames: ["kind"],
      registers,
      collect: () => {
        const { memory, heat, queue } = runtime.stats.pressure;
        for (const [kind, { value }] of Object.entries({ memory, heat, queue }))
          pressure.set({ kind }, value);
      },
    });
  }
}
