import { at } from "../util/array-access.js";
import { type AcceptancePriors, AcceptanceRates, expectedTokens } from "./acceptance-rates.js";
import { ConfidenceScale } from "./confidence.js";
import type { Proposer, Prospect } from "./proposer.js";
import type { StepCosts } from "../util/step-costs.js";

/** Speculation has to promise this much to be worth its risk. */
const leastSpeedup = 1.05;
/** Of guesses that do not pay: tokens until they are tried again, and by how much that grows each time. */
const firstPause = { free: 16, costly: 64, hopeless: 512 } as const;
/** Below this rate of acceptance a costly proposer is hopeless: it would read all of the text for nothing. */
const hopelessRate = 0.2;
const pauseGrowth = 4;
/** Cost of a draft token, of a step of one row, until it is measured. */
const guessedDraftCost = 0.1;
/** Draft tokens of such a trial. */
const trialTokens = 2;

/** How many tokens to draft, and what that promises. */
export interface DraftChoice {
  readonly count: number;
  /** Over steps of one token, by the expected tokens per second. */
  readonly speedup: number;
}

/** What {@link bestDraft} chooses from. */
export interface DraftOutlook {
  /** Acceptance of each place, given the one before: as many as may be drafted. */
  readonly rates: readonly number[];
  /** Milliseconds per draft token. */
  readonly draftMs: number;
  /** Sequences that share steps, each drafting like this one. */
  readonly sequences: number;
  readonly costs: StepCosts;
}

/**
 * The number of draft tokens with the most expected tokens per second: with rates a, k draft tokens give
 * E(k) = 1 + a0 + a0 a1 + .. tokens for k draft steps and a step of k + 1 rows (arXiv 2211.17192, section 3).
 */
export function bestDraft({ rates, draftMs, sequences, costs }: DraftOutlook): DraftChoice {
  const expected = expectedTokens(rates);
  const plainMs = verifyMs(costs, sequences, 0);
  let best: DraftChoice = { count: 0, speedup: 1 };
  for (let count = 1; count <= rates.length; count += 1) {
    const cycleMs = count * draftMs + verifyMs(costs, sequences, count);
    const speedup = (at(expected, count) * plainMs) / cycleMs;
    if (speedup > best.speedup) best = { count, speedup };
  }
  return best;
}

/**
 * Milliseconds of a step in which every sequence verifies `count` draft tokens. More rows take no less time: where they
 * seem to, the machine was busier with the fewer.
 */
function verifyMs(costs: StepCosts, sequences: number, count: number): number {
  const plainMs = costs.stepMs(sequences) ?? 1;
  return Math.max(plainMs, costs.stepMs(sequences * (count + 1)) ?? 0);
}

function firstPauseOf({ isFree }: Proposer): number {
  return isFree ? firstPause.free : firstPause.costly;
}

/** What is known of one class of a proposer's guesses. */
interface Track {
  readonly rates: AcceptanceRates;
  readonly scale: ConfidenceScale;
  /** Tokens for which guesses were at hand and not used, since the last trial. */
  passedOver: number;
  pause: number;
}

/** Guesses that a proposer has at hand. */
export interface Offer {
  readonly proposer: Proposer;
  readonly prospect: Prospect;
}

/** A decision to draft. */
export interface DraftPlan {
  readonly proposer: Proposer;
  readonly strength: number;
  readonly limit: number;
  readonly minConfidence: number;
}

/** What the policy decides with. */
export interface PolicyOptions {
  readonly proposers: readonly Proposer[];
  readonly costs: StepCosts;
  readonly priors: AcceptancePriors;
  /** Most draft tokens of a step. */
  readonly maxDraftTokens: number;
  /** Always drafts maxDraftTokens with the first proposer that can: nothing depends on the clock. */
  readonly isFixed: boolean;
}

/**
 * Decides who drafts how many tokens, from acceptance so far and measured costs. Guesses that do not promise a speed-up
 * are left alone, and tried again after a while.
 */
export class SpeculationPolicy {
  readonly #options: PolicyOptions;
  readonly #tracks: ReadonlyMap<Proposer, readonly Track[]>;
  readonly #refusedRates = new Map<Proposer, number>();
  #isOff = false;

  constructor(options: PolicyOptions) {
    this.#options = options;
    this.#tracks = new Map(
      options.proposers.map((proposer) => [
        proposer,
        Array.from({ length: proposer.strengths }, (_, strength) => ({
          rates: new AcceptanceRates(options.priors.rate(proposer.name, strength)),
          scale: new ConfidenceScale(),
          passedOver: 0,
          pause: firstPauseOf(proposer),
        })),
      ]),
    );
  }

  /**
   * Chooses among what the proposers offer.
   *
   * @param room - most draft tokens that are of use
   * @param sequences - that share steps
   */
  plan(offers: readonly Offer[], room: number, sequences: number): DraftPlan | undefined {
    const { costs, maxDraftTokens, isFixed } = this.#options;
    if (offers.length === 0) return undefined;
    if (!isFixed && !costs.knows(sequences)) return undefined; // a step without drafts is measured first
    let best: { readonly plan: DraftPlan; readonly speedup: number } | undefined;
    for (const { proposer, prospect } of offers) {
      const limit = Math.min(maxDraftTokens, room, prospect.limit);
      const plan = { proposer, strength: prospect.strength, limit, minConfidence: 0 };
      if (isFixed) return plan;
      const track = this.#track(plan);
      const draftMs = proposer.isFree ? 0 : (costs.draftMs ?? guessedDraftCost * (costs.stepMs(1) ?? 0));
      const choice = bestDraft({ rates: track.rates.rates(limit), draftMs, sequences, costs });
      const candidate = this.#consider(plan, track, choice, sequences);
      if (candidate !== undefined && (best === undefined || candidate.speedup > best.speedup))
        best = candidate;
    }
    this.#isOff = best === undefined;
    return best?.plan;
  }

  /** Whether the last guesses at hand did not promise enough to be used. */
  get isOff(): boolean {
    return this.#isOff;
  }

  /** Notes how a plan turned out; `confidence` is the proposer's, of each token. */
  observe(
    plan: Pick<DraftPlan, "proposer" | "strength">,
    drafted: number,
    accepted: number,
    confidence: readonly number[] = [],
  ): void {
    const { rates, scale } = this.#track(plan);
    rates.observe(drafted, accepted);
    scale.observe(confidence.slice(0, drafted), accepted);
    this.#options.priors.observe(plan.proposer.name, plan.strength, drafted, accepted);
  }

  /** Of the guesses that a proposer had at hand last and that were not used: how often the first is accepted. */
  refusedRate(proposer: Proposer): number | undefined {
    return this.#refusedRates.get(proposer);
  }

  #track({ proposer, strength }: Pick<DraftPlan, "proposer" | "strength">): Track {
    return at(this.#tracks.get(proposer) ?? [], strength);
  }

  /** The plan as far as it pays, or as a trial that is due. */
  #consider(
    plan: DraftPlan,
    track: Track,
    choice: DraftChoice,
    sequences: number,
  ): { readonly plan: DraftPlan; readonly speedup: number } | undefined {
    if (choice.speedup >= leastSpeedup) {
      track.passedOver = 0;
      track.pause = firstPauseOf(plan.proposer);
      const minConfidence = track.scale.confidenceAt(this.#leastChance(choice, sequences));
      return { plan: { ...plan, limit: choice.count, minConfidence }, speedup: choice.speedup };
    }
    track.passedOver += 1;
    const rate = at(track.rates.rates(1), 0);
    this.#refusedRates.set(plan.proposer, rate);
    const isHopeless = !plan.proposer.isFree && rate < hopelessRate;
    const pause = Math.max(track.pause, isHopeless ? firstPause.hopeless : 0);
    // All that share a step wait for what one of them drafts, so each tries the less often.
    if (track.passedOver < (plan.proposer.isFree ? pause : pause * sequences)) return undefined;
    track.passedOver = 0;
    track.pause *= pauseGrowth;
    return { plan: { ...plan, limit: Math.min(trialTokens, plan.limit) }, speedup: 1 };
  }

  /** The chance of acceptance below which a draft token is worth less than its time, spent at the speed reached. */
  #leastChance({ count, speedup }: DraftChoice, sequences: number): number {
    const { costs } = this.#options;
    const plainMs = verifyMs(costs, sequences, 0);
    const rowMs = (verifyMs(costs, sequences, count) - plainMs) / count;
    return Math.min(0.9, (((costs.draftMs ?? 0) + rowMs) / plainMs) * speedup);
  }
}
