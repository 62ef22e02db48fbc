import { at } from "./array-access.js";

/** Weight of a new measurement in the moving average of its own number of rows. */
const ownWeight = 0.25;
/** How far it moves the averages of other numbers of rows, which drift with it as the context grows. */
const sharedWeight = 0.1;
/** Default of `outlier`. */
const defaultOutlier = 2;
/** Cost of one more row, of a step of one, until it is measured. */
const guessedRowCost = 0.04;

interface StepCost {
  readonly rows: number;
  ms: number;
}

/** What steps of a model cost on this machine, measured as they happen. */
export class StepCosts {
  /** Milliseconds by rows, in ascending order of rows. */
  readonly #steps: StepCost[] = [];
  readonly #outlier: number;
  #draftMs: number | undefined;

  /** @param outlier - a measurement further off than this factor counts as this far off: other work got in between */
  constructor(outlier = defaultOutlier) {
    this.#outlier = outlier;
  }

  /** Milliseconds per draft token of the draft model; undefined until measured. */
  get draftMs(): number | undefined {
    return this.#draftMs;
  }

  /** Whether a step of so many rows was measured. */
  knows(rows: number): boolean {
    return this.#steps.some((step) => step.rows === rows);
  }

  /** Milliseconds of a step of `rows` rows, between measured ones by interpolation; undefined before the first. */
  stepMs(rows: number): number | undefined {
    const above = this.#steps.findIndex((step) => step.rows >= rows);
    if (above >= 0 && at(this.#steps, above).rows === rows) return at(this.#steps, above).ms;
    const [low, high] = this.#neighbours(above);
    if (low === undefined) return undefined;
    const perRow =
      high === undefined ? (low.ms / low.rows) * guessedRowCost : (high.ms - low.ms) / (high.rows - low.rows);
    return low.ms + Math.max(0, perRow) * (rows - low.rows);
  }

  /** Notes a step. */
  observeStep(rows: number, ms: number): void {
    const expected = this.stepMs(rows);
    const own = this.#steps.find((step) => step.rows === rows);
    if (expected !== undefined) {
      const ratio = Math.min(this.#outlier, Math.max(1 / this.#outlier, ms / expected));
      for (const step of this.#steps) step.ms *= 1 + (step === own ? ownWeight : sharedWeight) * (ratio - 1);
    }
    if (own === undefined) {
      this.#steps.push({ rows, ms });
      this.#steps.sort((a, b) => a.rows - b.rows);
    }
  }

  /** Notes a draft of `tokens` tokens by the draft model, what it had to catch up on included. */
  observeDraft(tokens: number, ms: number): void {
    const each = ms / tokens;
    const limited = this.#draftMs === undefined ? each : Math.min(each, this.#draftMs * this.#outlier);
    this.#draftMs = limited * ownWeight + (this.#draftMs ?? limited) * (1 - ownWeight);
  }

  /** The measured steps on either side, or the two nearest on one side. */
  #neighbours(above: number): readonly [StepCost | undefined, StepCost | undefined] {
    if (above > 0) return [this.#steps[above - 1], this.#steps[above]];
    if (above === 0) return [this.#steps[0], this.#steps[1]];
    return this.#steps.length > 1 ? [this.#steps.at(-2), this.#steps.at(-1)] : [this.#steps[0], undefined];
  }
}
