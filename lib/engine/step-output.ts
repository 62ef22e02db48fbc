import type { ForwardOutput, SharedFloats } from "../native/native.js";
import type { GrantedShare } from "./page-reservation.js";

/** What the buffers of a step's results depend on. */
export interface StepOutputSizes {
  readonly allocateShared: (length: number) => SharedFloats;
  readonly vocabSize: number;
  readonly embeddingLength: number;
}

/** Where a step's rows go: logits of the first ones, and hidden states of all where a run wants some. */
export interface StepRows extends Pick<ForwardOutput, "logits" | "hidden" | "logitCount"> {
  /** The shares of the step: those that want logits come first. */
  readonly shares: readonly GrantedShare[];
}

/** Buffers for the results of steps, which grow and are used again. */
export class StepOutput {
  readonly #sizes: StepOutputSizes;
  #logits: SharedFloats;
  #hidden: SharedFloats | undefined;

  constructor(sizes: StepOutputSizes) {
    this.#sizes = sizes;
    this.#logits = sizes.allocateShared(sizes.vocabSize);
  }

  /** Bytes of the buffers. */
  get bytes(): number {
    return this.#logits.byteLength + (this.#hidden?.byteLength ?? 0);
  }

  /** Buffers for a step of these shares; valid until the next step. */
  rows(shares: readonly GrantedShare[], wantsHidden: (share: GrantedShare) => boolean): StepRows {
    const hiddenShares = shares.filter(wantsHidden);
    const logitShares = hiddenShares.length === 0 ? shares : shares.filter((share) => !wantsHidden(share));
    const logitCount = sumRows(logitShares);
    const logits = this.#logitsFor(logitCount);
    if (hiddenShares.length === 0) return { shares, logits };
    const rows = logitCount + sumRows(hiddenShares);
    return { shares: [...logitShares, ...hiddenShares], logits, logitCount, hidden: this.#hiddenFor(rows) };
  }

  #logitsFor(rows: number): SharedFloats {
    const length = rows * this.#sizes.vocabSize;
    if (this.#logits.length < length) this.#logits = this.#sizes.allocateShared(length);
    return this.#logits.subarray(0, length);
  }

  #hiddenFor(rows: number): SharedFloats {
    const length = rows * this.#sizes.embeddingLength;
    if (this.#hidden === undefined || this.#hidden.length < length) {
      this.#hidden = this.#sizes.allocateShared(length);
    }
    return this.#hidden.subarray(0, length);
  }
}

function sumRows(shares: readonly GrantedShare[]): number {
  return shares.reduce((sum, { rows }) => sum + rows, 0);
}
