/** Bins of a history; when all are full, two become one and each lasts twice as long. */
const mostBins = 64;
const firstBinMs = 25;

/** How fast something comes, from when its first piece came. */
export class RateHistory {
  /** @type {number[]} */
  #bins = [];
  #binMs = firstBinMs;
  #startedMs = 0;
  #latestMs = 0;
  #first = 0;
  #total = 0;

  get total() {
    return this.#total;
  }

  /**
   * Notes that so many came.
   *
   * @param {number} count
   * @param {number} nowMs
   */
  add(count, nowMs) {
    if (count === 0) return;
    if (this.#total === 0) {
      this.#startedMs = nowMs;
      this.#first = count;
    }
    this.#total += count;
    this.#latestMs = nowMs;
    while (nowMs - this.#startedMs >= mostBins * this.#binMs) this.#halve();
    const bin = Math.floor((nowMs - this.#startedMs) / this.#binMs);
    while (this.#bins.length <= bin) this.#bins.push(0);
    this.#bins[bin] = (this.#bins[bin] ?? 0) + count;
  }

  /** Those after the first piece, per second; 0 before there are any. */
  get perSecond() {
    const ms = this.#latestMs - this.#startedMs;
    return ms <= 0 ? 0 : ((this.#total - this.#first) * 1000) / ms;
  }

  /** Per second, bin by bin; the last one, which is not over, is left out where there are others. */
  get series() {
    const over = this.#bins.length > 2 ? this.#bins.slice(0, -1) : this.#bins;
    return over.map((count) => (count * 1000) / this.#binMs);
  }

  #halve() {
    this.#binMs *= 2;
    this.#bins = Array.from(
      { length: Math.ceil(this.#bins.length / 2) },
      (_, index) => (this.#bins[2 * index] ?? 0) + (this.#bins[2 * index + 1] ?? 0),
    );
  }
}
