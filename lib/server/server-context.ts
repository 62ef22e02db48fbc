import type { FastifyReply, FastifyRequest } from "fastify";

import type { RoutedOptions } from "../tiers/runtime-types.js";
import type { ToolDefinition } from "../model/tools.js";
import { estimateTokens } from "../tiers/prompt.js";
import type { TierInput } from "../tiers/tier.js";
import type { ApiKey } from "./api-keys.js";
import { Canary } from "./canary.js";
import type { GoldenCheck } from "./golden-check.js";
import { ApiError, invalidRequest } from "./http-errors.js";
import type { ServerMetrics } from "./metrics.js";
import { RequestLog } from "./request-log.js";
import { loadedModel, type ServedModel, type ServedRuntime } from "./served-runtime.js";
import type { ResolvedServerOptions } from "./server-options.js";
import { plainReply, type SwitchedReply } from "./switched-reply.js";
import { Traces } from "./tracing.js";
import { addUpkeepMetrics } from "./upkeep-metrics.js";

/** What the routes share. */
export class ServerContext {
  readonly runtime: ServedRuntime;
  readonly options: ResolvedServerOptions;
  readonly metrics: ServerMetrics;
  readonly traces = new Traces();
  /** A second version on trial, where there is one. */
  readonly canary: Canary | undefined;
  readonly requestLog: RequestLog | undefined;
  /** Set when the server is ready, where the golden prompt is asked. */
  golden: GoldenCheck | undefined;
  readonly #clients = new WeakMap<FastifyRequest, ApiKey>();
  readonly #working = new Set<AbortController>();
  isDraining = false;
  /** Requests whose response has not ended. */
  inFlight = 0;

  constructor(runtime: ServedRuntime, options: ResolvedServerOptions, metrics: ServerMetrics) {
    this.runtime = runtime;
    this.options = options;
    this.metrics = metrics;
    const { canary, requestLog, logger } = options;
    this.canary = canary && new Canary(runtime, canary, logger);
    this.requestLog = requestLog && new RequestLog(requestLog, logger);
    addUpkeepMetrics(metrics.registry, this);
  }

  /** Answers a request: by the runtime, or by the version that is on trial. */
  generate(input: TierInput, options: RoutedOptions): SwitchedReply {
    return this.canary?.generate(input, options) ?? plainReply(this.runtime, input, options);
  }

  /** Why requests should go elsewhere, in words; undefined while they need not. */
  get notReady(): string | undefined {
    if (this.isDraining) return "The server is shutting down.";
    const problems = this.golden?.problems ?? [];
    if (problems.length > 0) return problems.join(" ");
    const { tiers } = this.runtime.stats;
    // A model that was unloaded because nobody asked comes back with the first who does.
    const isLoaded = Object.values(tiers).some((tier) => tier.isLoaded || tier.loads > 0);
    return isLoaded ? undefined : "No model was loaded yet.";
  }

  /** Notes whose key a request brought. */
  identify(request: FastifyRequest, key: ApiKey): void {
    this.#clients.set(request, key);
  }

  /** Whose request it is; undefined where no keys are asked for. */
  clientOf(request: FastifyRequest): ApiKey | undefined {
    return this.#clients.get(request);
  }

  /** A signal that aborts when the client goes before the response has ended, or when the server may not wait longer. */
  signalFor(reply: FastifyReply): AbortSignal {
    const controller = new AbortController();
    this.#working.add(controller);
    reply.raw.once("close", () => {
      this.#working.delete(controller);
      if (!reply.raw.writableFinished) controller.abort();
    });
    if (reply.raw.destroyed) controller.abort(); // gone while its body was read
    return controller.signal;
  }

  /** Ends every answer that is under way. */
  abortAll(): void {
    for (const controller of this.#working) controller.abort();
  }

  /**
   * The tier that a request's model means; undefined for any.
   *
   * @throws {ApiError} 404
   */
  tierOf(model: string | undefined): string | undefined {
    if (model === undefined || model === "auto") return undefined;
    const { tierNames } = this.runtime;
    if (tierNames.includes(model)) return model;
    throw new ApiError(
      { status: 404, type: "invalid_request_error", code: "model_not_found" },
      `expected auto or a tier (${tierNames.join(", ")}) for model but received ${JSON.stringify(model)}`,
      "model",
    );
  }

  /** A model that is loaded: the tier's, or the smallest one that may answer. */
  loadedModel(tier: string | undefined): ServedModel | undefined {
    const { tierNames } = this.runtime;
    for (const name of tier === undefined ? tierNames : [tier]) {
      const model = loadedModel(this.runtime, name);
      if (model !== undefined) return model;
    }
    return undefined;
  }

  /**
   * Checks how many tokens an answer may have.
   *
   * @returns the most that it gets
   * @throws {ApiError} 400
   */
  maxTokens(asked: number | undefined, param: string): number | undefined {
    const { maxAnswerTokens } = this.options;
    if (asked === undefined || asked <= maxAnswerTokens) return asked ?? maxAnswerTokens;
    throw invalidRequest(`expected at most ${maxAnswerTokens} for ${param} but received ${asked}`, param);
  }

  /**
   * Checks the length of a prompt: exactly where a model is loaded, else about.
   *
   * @throws {ApiError} 400
   */
  checkPrompt(
    input: TierInput,
    tools: readonly ToolDefinition[],
    tier: string | undefined,
    param: string,
  ): void {
    const { maxPromptTokens } = this.options;
    if (maxPromptTokens === undefined) return;
    const count = countTokens(input, tools, this.loadedModel(tier));
    if (count <= maxPromptTokens) return;
    const message = `expected at most ${maxPromptTokens} tokens for ${param} but received ${count}`;
    throw invalidRequest(message, param, "context_length_exceeded");
  }
}

function countTokens(
  input: TierInput,
  tools: readonly ToolDefinition[],
  model: ServedModel | undefined,
): number {
  if (typeof input === "string") return model?.tokenizer.encode(input).length ?? estimateTokens(input);
  return model?.chatTemplate?.encode(input, { tools }).length ?? estimateTokens(input);
}
