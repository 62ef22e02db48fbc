import { StepCosts } from "../util/step-costs.js";

/** Weight of a new measurement in the moving average of a prompt token's time. */
const newWeight = 0.3;
/**
 * A measurement further off than this factor counts as this far off: other work got in between. Tokens that seem dearer are
 * believed sooner than tokens that seem cheaper, for texts that wait notice more than prompts do.
 */
const outlier = { quiet: 1.25, dearer: 2, cheaper: 1.25 } as const;
/** Most tokens of a prompt's share, of the last one's. */
const growth = 2;
/** After so many steps with prompts one goes without, to measure again what that takes. */
const stepsBetweenQuiet = 16;
/** Least part of a step's time that its prompt tokens are taken to need, so that the average never sticks at nothing. */
const leastPart = 0.01;
/** Prompts get on by at least so many tokens a step, however little time there is, or however often steps run late. */
const leastTokens = { calm: 4, late: 2 } as const;
/**
 * A step is late that takes longer than `stretch` allows. Each late step takes so much of the time for prompts, each other one gives so much of it back: in balance one step in a
 * hundred is late (99 ln 1.001 = ln(1 / 0.906); Robbins and Monro's way to a quantile).
 */
const caution = { late: 0.906, inTime: 1.001, least: 0.1 } as const;

/** A step that was measured. */
export interface MeasuredStep {
  /** Tokens of texts that are being generated: the last one of each, and guesses. */
  readonly decodeTokens: number;
  /** The others: those of prompts. */
  readonly promptTokens: number;
  readonly ms: number;
}

/**
 * How many prompt tokens a step may take along while texts are being generated, so that it takes at most `stretch`
 * times as long as without them, but for one step in a hundred. What tokens cost is measured as steps go by; it grows with the depth of a prompt, and
 * changes with heat and neighbours.
 */
export class PromptBudget {
  readonly #stretch: number;
  readonly #quiet = new StepCosts(outlier.quiet);
  /** Milliseconds that a prompt token adds to a step. */
  #tokenMs: number | undefined;
  /** Tokens of the last share that was measured. */
  #lastTokens = 0;
  /** Steps with prompts since the last without. */
  #loadedSteps = 0;
  /** Part of the time for prompts that is given to them: less while steps run late, by whatever it may be. */
  #part = 1;

  /** @param stretch - above 1; Infinity leaves prompts all of a step */
  constructor(stretch: number) {
    this.#stretch = stretch;
  }

  /** Most prompt tokens of a step beside `decodeTokens` tokens of texts that are being generated. */
  tokens(decodeTokens: number): number {
    if (decodeTokens === 0 || this.#stretch === Infinity) return Infinity;
    const quietMs = this.#quiet.stepMs(decodeTokens);
    // A step without a prompt is measured first, and again now and then: what it takes depends on heat and neighbours.
    if (quietMs === undefined || this.#loadedSteps >= stepsBetweenQuiet) return 0;
    const least = this.#part < 1 / 2 ? leastTokens.late : leastTokens.calm;
    if (this.#tokenMs === undefined) return least;
    const affordable = Math.floor((this.#part * (this.#stretch - 1) * quietMs) / this.#tokenMs);
    return Math.max(least, Math.min(affordable, growth * this.#lastTokens));
  }

  /** Learns from a step. */
  observe({ decodeTokens, promptTokens, ms }: MeasuredStep): void {
    if (promptTokens === 0) {
      this.#quiet.observeStep(decodeTokens, ms);
      this.#loadedSteps = 0;
      return;
    }
    if (decodeTokens === 0) return; // tokens of long chunks take less time each than those of short ones
    this.#loadedSteps += 1;
    this.#lastTokens = promptTokens;
    const quietMs = this.#quiet.stepMs(decodeTokens);
    if (quietMs === undefined) return;
    const isLate = ms > this.#stretch * quietMs;
    this.#part = Math.min(1, Math.max(caution.least, this.#part * (isLate ? caution.late : caution.inTime)));
    const each = Math.max(leastPart * ms, ms - quietMs) / promptTokens;
    const known = this.#tokenMs ?? each;
    const limited = Math.min(known * outlier.dearer, Math.max(known / outlier.cheaper, each));
    this.#tokenMs = known + newWeight * (limited - known);
  }
}
