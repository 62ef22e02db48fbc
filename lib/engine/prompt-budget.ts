import { StepCosts } from "../util/step-costs.js";

/** Weight of a new measurement in the moving average of a prompt token's time. */
const newWeight = 0.3;
/** A measurement further off than this factor counts as this far off: other work got in between. */
const outlier = 2;
/** Least part of a step's time that its prompt tokens are taken to need, so that the average never sticks at nothing. */
const leastPart = 0.01;
/** Prompts get on by at least so many tokens a step, however little time there is. */
const leastTokens = 8;

/** A step that was measured. */
export interface MeasuredStep {
  /** Tokens of texts that are being generated: the last one of each, and guesses. */
  readonly decodeTokens: number;
  /** The others: those of prompts. */
  readonly promptTokens: number;
  readonly ms: number;
}

/**
 * How many prompt tokens a step may take along while texts are being generated, so that it takes at most `stretch` times
 * as long as without them. What tokens cost is measured as steps go by; it grows with the depth of a prompt, and
 * changes with heat and neighbours.
 */
export class PromptBudget {
  readonly #stretch: number;
  readonly #quiet = new StepCosts();
  /** Milliseconds that a prompt token adds to a step. */
  #tokenMs: number | undefined;
  /** Whether that was never measured beside texts that are being generated. */
  #isRough = true;

  /** @param stretch - above 1; Infinity leaves prompts all of a step */
  constructor(stretch: number) {
    this.#stretch = stretch;
  }

  /** Most prompt tokens of a step beside `decodeTokens` tokens of texts that are being generated. */
  tokens(decodeTokens: number): number {
    if (decodeTokens === 0 || this.#stretch === Infinity) return Infinity;
    const quietMs = this.#quiet.stepMs(decodeTokens);
    if (quietMs === undefined) return 0; // a step without a prompt is measured first
    if (this.#tokenMs === undefined) return leastTokens;
    return Math.max(leastTokens, Math.floor(((this.#stretch - 1) * quietMs) / this.#tokenMs));
  }

  /** Learns from a step. */
  observe({ decodeTokens, promptTokens, ms }: MeasuredStep): void {
    if (promptTokens === 0) {
      this.#quiet.observeStep(decodeTokens, ms);
      return;
    }
    if (decodeTokens === 0) {
      // Of many tokens, which take less each, or of few, which take more: better than nothing.
      if (this.#isRough) this.#tokenMs = ms / promptTokens;
      return;
    }
    const quietMs = this.#quiet.stepMs(decodeTokens);
    if (quietMs === undefined) return;
    const each = Math.max(leastPart * ms, ms - quietMs) / promptTokens;
    const known = this.#isRough ? each : (this.#tokenMs ?? each);
    const limited = Math.min(known * outlier, Math.max(known / outlier, each));
    this.#tokenMs = known + newWeight * (limited - known);
    this.#isRough = false;
  }
}
