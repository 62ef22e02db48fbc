/** An exponentially weighted mean. */
export class MovingAverage {
  readonly #weight: number;
  #value: number | undefined;

  /** @param weight - of a new value, 0 to 1 */
  constructor(weight: number) {
    this.#weight = weight;
  }

  add(value: number): void {
    this.#value = this.#value === undefined ? value : this.#value + this.#weight * (value - this.#value);
  }

  /** The mean, or something else before the first value. */
  valueOr(other: number): number {
    return this.#value ?? other;
  }
}
