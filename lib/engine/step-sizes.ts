/** Steps that had at most so many sequences. */
export interface StepsUpTo {
  /** The last bound is Infinity. */
  readonly sequences: number;
  readonly steps: number;
}

/** How many sequences shared a step: the batch size. */
export interface StepSizeStats {
  /** Sequences of all steps together. */
  readonly sequences: number;
  /** By rising bound, each entry with those of the bounds below. */
  readonly upTo: readonly StepsUpTo[];
}

/** Powers of two up to the most answers that a tier may compute at a time. */
const bounds = [1, 2, 4, 8, 16, 32, 64, 128, 256, Infinity];

/** Counts steps by how many sequences shared them. */
export class StepSizes {
  /** Of each bound alone. */
  readonly #steps = bounds.map(() => 0);
  #sequences = 0;

  /** Counts a step of so many sequences. */
  add(sequences: number): void {
    const place = bounds.findIndex((bound) => sequences <= bound);
    this.#steps[place] = (this.#steps[place] ?? 0) + 1;
    this.#sequences += sequences;
  }

  get stats(): StepSizeStats {
    let total = 0;
    const upTo = bounds.map((sequences, place) => {
      total += this.#steps[place] ?? 0;
      return { sequences, steps: total };
    });
    return { sequences: this.#sequences, upTo };
  }
}
