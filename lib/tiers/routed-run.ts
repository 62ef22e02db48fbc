import { AirError, deadlineError } from "../errors/air-error.js";
import type { RouteDecision } from "../routing/decision.js";
import type { GeneratedChunk, Generation, GenerationResult } from "../runtime/generation.js";
import { type GenerateOptions, longestTimeoutMs } from "../runtime/options.js";
import { without } from "../util/options.js";
import { AnswerJudge, type CascadeSettings, type EscalationReason, type Verdict } from "./cascade.js";
import type { Attempt, RoutedResult } from "./routed-reply.js";
import type { Tier, TierInput } from "./tier.js";
import { isTierFailure } from "./tier-failure.js";

/** When a small tier's answers are judged. */
export interface CascadeLimits extends Omit<CascadeSettings, "minLogprob"> {
  /** Of all tiers, or by name; tiers without one are trusted whatever they say. */
  readonly minLogprob: number | Readonly<Record<string, number>>;
  readonly maxEscalations: number;
  readonly maxSeconds: number;
}

/** What one request needs of the runtime. */
export interface RoutedRunOptions {
  readonly input: TierInput;
  readonly options: GenerateOptions;
  readonly cacheSalt: string | undefined;
  readonly cascade: CascadeLimits | undefined;
  readonly tierOf: (index: number) => Tier;
  /**
   * Decides among the tiers from `floor` up that are not excluded.
   *
   * @throws {AirError} AIR_ERR_NO_TIER
   */
  readonly decide: (excluded: ReadonlySet<number>, floor: number) => RouteDecision;
  readonly onDecision: (decision: RouteDecision) => void;
  readonly onChunk: (chunk: GeneratedChunk) => void;
  readonly now: () => number;
}

type Outcome =
  | { readonly kind: "answered"; readonly result: GenerationResult }
  | { readonly kind: "rejected"; readonly reason: EscalationReason; readonly tokens: number };

/** One request on its way through the tiers. Text that was handed out is never taken back nor sent twice. */
export class RoutedRun {
  readonly #options: RoutedRunOptions;
  readonly #startedMs: number;
  readonly #attempts: Attempt[] = [];
  readonly #excluded = new Set<number>();
  readonly #left = new AbortController();
  /** Aborts when the time of the whole request is over, however many tiers worked on it. */
  readonly #late = new AbortController();
  #isLeft = false;
  #floor = 0;
  #escalations = 0;
  #mayJudge: boolean;
  #hasText = false;
  #lastFailure: AirError | undefined;
  #chunks: AsyncIterator<GeneratedChunk> | undefined;

  constructor(options: RoutedRunOptions) {
    this.#options = options;
    this.#startedMs = options.now();
    this.#mayJudge = options.cascade !== undefined;
  }

  /** Ends the answer for a reader who has left; run() settles soon. */
  leave(): void {
    this.#isLeft = true;
    if (this.#chunks === undefined) this.#left.abort();
    else void this.#chunks.return?.();
  }

  /** @throws {AirError} what ended the request */
  async run(): Promise<RoutedResult> {
    const { timeoutMs } = this.#options.options;
    const hasDeadline = timeoutMs !== undefined && timeoutMs <= longestTimeoutMs; // others are the tier's to refuse
    const expire = (): void => {
      this.#late.abort();
    };
    const timer = hasDeadline ? setTimeout(expire, timeoutMs) : undefined;
    try {
      return await this.#tryTiers();
    } catch (error) {
      throw this.#late.signal.aborted ? deadlineError() : error;
    } finally {
      clearTimeout(timer);
    }
  }

  async #tryTiers(): Promise<RoutedResult> {
    for (;;) {
      const decision = this.#decide();
      this.#options.onDecision(decision);
      const startedMs = this.#options.now();
      const note = (outcome: Attempt["outcome"], reason: string, tokens: number): void => {
        const ms = this.#options.now() - startedMs;
        this.#attempts.push({ tier: decision.name, outcome, reason, tokens, ms });
      };
      try {
        const outcome = await this.#attempt(decision);
        if (outcome.kind === "answered") {
          note("answered", decision.reason, outcome.result.tokens.length);
          return this.#resultOf(outcome.result, decision);
        }
        note("rejected", outcome.reason, outcome.tokens);
        this.#escalations += 1;
        this.#floor = decision.tier + 1;
      } catch (error) {
        if (!isTierFailure(error) || this.#hasText || this.#late.signal.aborted) throw error;
        note("failed", error.code, 0);
        this.#excluded.add(decision.tier);
        this.#lastFailure = error;
      }
    }
  }

  /** The next tier to try; without one, the answer of the largest that was not trusted is better than none. */
  #decide(): RouteDecision {
    const rejected = this.#attempts.findLast(({ outcome }) => outcome === "rejected");
    try {
      const decision = this.#options.decide(this.#excluded, this.#floor);
      if (rejected === undefined || !this.#mayJudge) return decision;
      const detail = `${decision.name} answers, as ${rejected.tier} was not sure of it.`;
      return { ...decision, reason: "escalated", detail };
    } catch (error) {
      if (this.#floor > 0) {
        this.#mayJudge = false;
        this.#floor -= 1;
        return this.#decide();
      }
      // What happened to a tier tells more than that none is left.
      throw this.#lastFailure !== undefined && error instanceof AirError && error.code === "AIR_ERR_NO_TIER"
        ? this.#lastFailure
        : error;
    }
  }

  async #attempt(decision: RouteDecision): Promise<Outcome> {
    const { input, options, cacheSalt, tierOf } = this.#options;
    if (this.#isLeft) this.#left.abort(); // between two tiers
    const signal = AbortSignal.any([
      this.#left.signal,
      this.#late.signal,
      ...(options.signal === undefined ? [] : [options.signal]),
    ]);
    const judge = this.#judgeFor(decision);
    const answer = await tierOf(decision.tier).open({
      input,
      options: {
        ...options,
        signal,
        ...(judge !== undefined && options.logprobs === undefined && { logprobs: 0 }),
      },
      cacheSalt,
    });
    try {
      const { generation } = answer;
      return judge === undefined ? await this.#pass(generation) : await this.#judge(generation, judge);
    } finally {
      this.#chunks = undefined;
      answer.release();
    }
  }

  /** The chunks of an answer, as something that leave() can end. */
  #chunksOf(generation: Generation): AsyncIterable<GeneratedChunk> {
    const chunks = generation[Symbol.asyncIterator]();
    this.#chunks = chunks;
    return { [Symbol.asyncIterator]: () => chunks };
  }

  /** Hands all text out as it comes. */
  async #pass(generation: Generation): Promise<Outcome> {
    for await (const chunk of this.#chunksOf(generation)) this.#push(chunk);
    return { kind: "answered", result: await generation.result };
  }

  /** Holds text back until it is trusted. */
  async #judge(generation: Generation, judge: AnswerJudge): Promise<Outcome> {
    const held: GeneratedChunk[] = [];
    const handOut = (): void => {
      for (const chunk of held.splice(0)) this.#push(chunk);
    };
    let verdict: Verdict = { kind: "undecided" };
    for await (const chunk of this.#chunksOf(generation)) {
      if (verdict.kind === "accepted") {
        this.#push(chunk);
        continue;
      }
      held.push(chunk);
      verdict = judge.read(chunk);
      if (verdict.kind === "rejected") break; // leaving the loop stops the generation
      if (verdict.kind === "accepted") handOut();
    }
    const result = await generation.result;
    // For a reader who has left, no other tier need be asked.
    if (this.#isLeft) return { kind: "answered", result };
    if (verdict.kind === "undecided") verdict = judge.end(result.finishReason);
    if (verdict.kind === "rejected") return { ...verdict, tokens: result.tokens.length };
    handOut();
    return { kind: "answered", result };
  }

  #push(chunk: GeneratedChunk): void {
    this.#hasText ||= chunk.text !== "";
    this.#options.onChunk(this.#asAsked(chunk));
  }

  #resultOf(result: GenerationResult, decision: RouteDecision): RoutedResult {
    return { ...this.#asAsked(result), tier: decision.name, decision, attempts: this.#attempts };
  }

  /** Without the logprobs that only the judge wanted. */
  #asAsked<Part extends { readonly logprobs?: unknown }>(part: Part): Part {
    if (this.#options.options.logprobs !== undefined || part.logprobs === undefined) return part;
    return without(part, ["logprobs"]) as Part;
  }

  /** A judge, where an answer that fails could go to a larger tier within the allowance. */
  #judgeFor(decision: RouteDecision): AnswerJudge | undefined {
    const { cascade, options, now } = this.#options;
    if (cascade === undefined || !this.#mayJudge || this.#escalations >= cascade.maxEscalations)
      return undefined;
    try {
      const next = this.#options.decide(this.#excluded, decision.tier + 1);
      const spentMs = now() - this.#startedMs + decision.predictedMs;
      if (spentMs + next.predictedMs > cascade.maxSeconds * 1000) return undefined;
    } catch {
      return undefined; // nobody above
    }
    const { minLogprob, holdTokens } = cascade;
    const least = typeof minLogprob === "number" ? minLogprob : (minLogprob[decision.name] ?? -Infinity);
    return new AnswerJudge({ minLogprob: least, holdTokens }, options.schema !== undefined);
  }
}
