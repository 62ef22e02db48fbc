/** How fast old outcomes fade. */
const decay = 0.98;
/** Outcomes before confidences are trusted at all. */
const leastOutcomes = 8;
/** Bounds of the exponent, against few or odd outcomes. */
const exponents = { least: 0.1, most: 2 } as const;

/**
 * What a draft model's probabilities are worth. Guesses of probability c are accepted about as often as c^g says, with an
 * exponent g that is learned: a small model can be unsure of tokens that the large one takes all the same.
 */
export class ConfidenceScale {
  #outcomes = 0;
  #accepted = 0;
  #logConfidence = 0;

  /** Notes a verified draft: of its tokens' probabilities, the first `accepted` were accepted and the next was not. */
  observe(confidence: readonly number[], accepted: number): void {
    for (const [index, value] of confidence.slice(0, accepted + 1).entries()) {
      this.#outcomes = this.#outcomes * decay + 1;
      this.#accepted = this.#accepted * decay + (index < accepted ? 1 : 0);
      this.#logConfidence = this.#logConfidence * decay + Math.log(Math.max(value, 1e-6));
    }
  }

  /** The product of probabilities that stands for this chance of acceptance; 0 while too little is known. */
  confidenceAt(chance: number): number {
    if (this.#outcomes < leastOutcomes) return 0;
    const rate = (this.#accepted + 0.5) / (this.#outcomes + 1);
    const exponent = Math.log(rate) / Math.min(-1e-3, this.#logConfidence / this.#outcomes);
    return chance ** (1 / Math.min(exponents.most, Math.max(exponents.least, exponent)));
  }
}
