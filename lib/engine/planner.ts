import type { EvictionPolicy } from "../cache/eviction-policy.js";
import type { PagePool } from "../cache/page-pool.js";
import { nextToBegin } from "./admission.js";
import { FairTurns } from "../util/fair-turns.js";
import { type GrantedShare, reservePages } from "./page-reservation.js";
import type { PrefixReuse } from "./prefix-reuse.js";
import { PromptBudget } from "./prompt-budget.js";
import { byAdmission } from "./rank.js";
import { isGreedy, type Run } from "./run.js";
import { shareStep, type StepBudget } from "./scheduler.js";
import type { Sequence } from "./sequence.js";

/** What a planner works with; the engine's. */
export interface PlannerOptions {
  readonly pools: readonly PagePool[];
  readonly policy: EvictionPolicy;
  readonly prefixes: PrefixReuse | undefined;
  /** Most tokens of one step, and most rows of logits. */
  readonly maxTokens: number;
  readonly maxRows: number;
  /** See EngineOptions. */
  readonly stepStretch: number;
}

/** The next step. */
export interface StepPlan {
  readonly granted: readonly GrantedShare[];
  /** Sequences that hold every page there is and need more: their runs are to end. */
  readonly exhausted: readonly Sequence[];
  /** Runs that lost their pages. */
  readonly preemptions: number;
}

/** Decides who computes what in each step, and takes the pages for it. */
export class StepPlanner {
  readonly #options: PlannerOptions;
  readonly #budget: StepBudget;
  readonly #promptBudget: PromptBudget;
  readonly #turns = new FairTurns();
  #admissions = 0;

  constructor(options: PlannerOptions) {
    this.#options = options;
    const promptBudget = new PromptBudget(options.stepStretch);
    this.#promptBudget = promptBudget;
    this.#budget = {
      tokens: options.maxTokens,
      rows: options.maxRows,
      promptTokens: (decodeTokens) => promptBudget.tokens(decodeTokens),
    };
  }

  /**
   * Plans the next step.
   *
   * @param holders - every sequence of the engine, running or not
   */
  plan(runs: ReadonlyMap<Sequence, Run>, holders: readonly Sequence[]): StepPlan {
    this.admit(runs, holders);
    for (const sequence of runs.keys()) {
      if (sequence.state === "running") this.#options.prefixes?.adopt(sequence);
    }
    const { pools, policy } = this.#options;
    const leftOut = new Set<Sequence>();
    const allExhausted: Sequence[] = [];
    let allPreemptions = 0;
    const inTurn = (prompts: readonly Sequence[]): readonly Sequence[] => this.#turns.order(prompts);
    for (;;) {
      const shares = shareStep(this.#candidates(runs, leftOut), this.#budget, inTurn);
      const { granted, exhausted, preemptions } = reservePages(shares, holders, pools.length, policy);
      allExhausted.push(...exhausted);
      allPreemptions += preemptions;
      if (granted.length > 0 || shares.length === 0) {
        return { granted, exhausted: allExhausted, preemptions: allPreemptions };
      }
      // All of them wait for pages: the budget goes to the runs that were left out.
      for (const { sequence } of shares) leftOut.add(sequence);
    }
  }

  /** Learns from a step what tokens cost, and whose prompt got on. */
  learn(granted: readonly GrantedShare[], ms: number): void {
    let promptTokens = 0;
    let decodeTokens = 0;
    for (const { sequence, tokens, isPrompt } of granted) {
      if (isPrompt) {
        promptTokens += tokens;
        this.#turns.serve(sequence.user, tokens);
      } else decodeTokens += tokens;
    }
    this.#promptBudget.observe({ decodeTokens, promptTokens, ms });
  }

  /** Lets runs begin that wait for pages: those that were preempted first, then users by turns. */
  admit(runs: ReadonlyMap<Sequence, Run>, holders: readonly Sequence[]): void {
    const { pools, policy, maxTokens, prefixes } = this.#options;
    const sequences = [...runs.keys()];
    this.#turns.keep(sequences.map(({ user }) => user));
    const room = { pools, policy, chunkTokens: maxTokens, prefixes };
    const inTurn = this.#turns.order(sequences.filter(({ state }) => state === "waiting"));
    const waiting = [...inTurn].sort(byAdmission);
    for (;;) {
      const next = nextToBegin(waiting, holders, room);
      if (next === undefined) return;
      next.state = "running";
      next.admission ??= this.#admissions += 1;
      prefixes?.adopt(next);
      waiting.shift();
    }
  }

  /** The runs that may share the next step. Runs that can draft do so in a step of their own, and first. */
  #candidates(runs: ReadonlyMap<Sequence, Run>, leftOut: ReadonlySet<Sequence>): readonly Sequence[] {
    const running = [...runs].filter(([sequence]) => sequence.state === "running" && !leftOut.has(sequence));
    const drafting = running.filter(
      ([{ knownTokens, computedTokens }, { request }]) =>
        isGreedy(request) && knownTokens - computedTokens <= this.#budget.tokens,
    );
    return (drafting.length > 0 ? drafting : running).map(([sequence]) => sequence);
  }
}
