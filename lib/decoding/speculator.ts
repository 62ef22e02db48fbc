import { reasonOf } from "../errors/air-error.js";
import type { TokenHistory } from "./penalties.js";
import type { Draft, Proposer } from "./proposer.js";
import { type DraftPlan, SpeculationPolicy } from "./speculation-policy.js";
import type { AcceptancePriors } from "./acceptance-rates.js";
import type { StepCosts } from "../util/step-costs.js";

/** How speculation went. */
export interface SpeculativeReport {
  /** Who could draft, in order of preference: `ngram`, `draft-model` or `ngram+draft-model`. */
  readonly proposer: string;
  /** Draft tokens that were verified. */
  readonly drafted: number;
  /** Of those, tokens that the text took over. */
  readonly accepted: number;
  /** accepted / drafted; 0 without drafts. */
  readonly acceptanceRate: number;
  /** Tokens per step with a draft: accepted / cycles + 1. */
  readonly meanAcceptanceLength: number;
  /** Steps that verified a draft. */
  readonly cycles: number;
  /** Over steps of one token each, by what those cost when they were measured; undefined before the first step. */
  readonly estimatedSpeedup?: number;
  /** Why drafting is off at the end, where it is. */
  readonly disabledReason?: string;
}

/** What the loop works with. */
export interface SpeculatorOptions {
  /** In order of preference. */
  readonly proposers: readonly Proposer[];
  /** Shared by the generations of a model. */
  readonly costs: StepCosts;
  /** The same. */
  readonly priors: AcceptancePriors;
  readonly maxDraftTokens: number;
  readonly isFixed: boolean;
}

/** A step that verified a draft, or none. */
export interface VerifiedStep {
  /** Draft tokens that the text took over. */
  readonly accepted: number;
  /** Draft tokens whose rows the step computed. */
  readonly drafted: number;
  /** Of the step, of all sequences. */
  readonly rows: number;
  readonly sequences: number;
  /** Milliseconds of the step and of choosing tokens; undefined when other work was part of it. */
  readonly ms: number | undefined;
}

/** Proposes drafts for one generation, learns from what comes of them, and keeps count. */
export class Speculator {
  readonly #proposers: readonly Proposer[];
  readonly #costs: StepCosts;
  readonly #policy: SpeculationPolicy;
  readonly #failed = new Map<Proposer, string>();
  #current: { readonly plan: DraftPlan; readonly draft: Draft } | undefined;
  #sequences = 1;
  #drafted = 0;
  #accepted = 0;
  #cycles = 0;
  /** Milliseconds of drafts and steps, and of steps of one token each in their place. */
  #ms = 0;
  #plainMs = 0;

  constructor(options: SpeculatorOptions) {
    this.#proposers = options.proposers;
    this.#costs = options.costs;
    this.#policy = new SpeculationPolicy(options);
  }

  /** The draft that the coming rows belong to. */
  get draft(): Draft | undefined {
    return this.#current?.draft;
  }

  /** Starts on a text. */
  begin(prompt: ArrayLike<number>): void {
    for (const proposer of this.#proposers) proposer.begin(prompt);
  }

  /**
   * Guesses what follows the text. A proposer that fails is not asked again; the text goes on without it.
   *
   * @param room - most draft tokens that are of use
   */
  propose(text: TokenHistory, room: number): readonly number[] | Promise<readonly number[]> {
    this.#current = undefined;
    if (room < 1) return [];
    const offers = this.#proposers.flatMap((proposer) => {
      const prospect = this.#failed.has(proposer) ? undefined : proposer.look(text);
      return prospect === undefined ? [] : [{ proposer, prospect }];
    });
    const plan = this.#policy.plan(offers, room, this.#sequences);
    if (plan === undefined) return [];
    const draft = plan.proposer.propose(text, plan);
    return draft instanceof Promise ? this.#await(plan, draft) : this.#use(plan, draft);
  }

  /** Learns from a step. */
  observe({ accepted, drafted, rows, sequences, ms }: VerifiedStep): void {
    this.#sequences = sequences;
    if (ms !== undefined) {
      this.#costs.observeStep(rows, ms);
      this.#ms += ms;
      this.#plainMs += (accepted + 1) * (this.#costs.stepMs(sequences) ?? 0);
    }
    if (this.#current === undefined || drafted === 0) return;
    const { plan, draft } = this.#current;
    this.#policy.observe(plan, drafted, accepted, draft.confidence);
    this.#cycles += 1;
    this.#drafted += drafted;
    this.#accepted += accepted;
    this.#current = undefined;
  }

  /** Makes a draft in progress settle soon. */
  cancel(): void {
    for (const proposer of this.#proposers) proposer.cancel();
  }

  /** What came of it so far. */
  report(): SpeculativeReport {
    const reason = this.#disabledReason();
    return {
      proposer: this.#proposers.map(({ name }) => name).join("+"),
      drafted: this.#drafted,
      accepted: this.#accepted,
      acceptanceRate: this.#drafted > 0 ? this.#accepted / this.#drafted : 0,
      meanAcceptanceLength: this.#cycles > 0 ? 1 + this.#accepted / this.#cycles : 1,
      cycles: this.#cycles,
      ...(this.#ms > 0 && { estimatedSpeedup: this.#plainMs / this.#ms }),
      ...(reason !== undefined && { disabledReason: reason }),
    };
  }

  async #await(plan: DraftPlan, draft: Promise<Draft>): Promise<readonly number[]> {
    const started = performance.now();
    try {
      return this.#use(plan, await draft);
    } catch (error) {
      this.#failed.set(plan.proposer, reasonOf(error));
      return [];
    } finally {
      this.#ms += performance.now() - started;
    }
  }

  #use(plan: DraftPlan, draft: Draft): readonly number[] {
    if (draft.ms !== undefined && draft.tokens.length > 0)
      this.#costs.observeDraft(draft.tokens.length, draft.ms);
    if (draft.tokens.length > 0) this.#current = { plan, draft };
    return draft.tokens;
  }

  #disabledReason(): string | undefined {
    const failures = [...this.#failed].map(([{ name }, message]) => `${name} failed: ${message}`);
    if (failures.length === this.#proposers.length && failures.length > 0) return failures.join("; ");
    if (!this.#policy.isOff) return undefined;
    const parts = this.#proposers.flatMap((proposer) => {
      const rate = this.#policy.refusedRate(proposer);
      if (rate === undefined) return [];
      const cost = proposer.isFree ? "" : ` at ${(this.#costs.draftMs ?? 0).toFixed(2)} ms each`;
      return [`${proposer.name}: ${(rate * 100).toFixed(0)}% of first guesses accepted${cost}`];
    });
    const stepMs = (this.#costs.stepMs(1) ?? 0).toFixed(2);
    return `not worth it now (${parts.join("; ")}; a step takes ${stepMs} ms)`;
  }
}
