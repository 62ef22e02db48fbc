import type { SharedFloats } from "../native/native.js";
import type { GrantedShare } from "./page-reservation.js";

/** Takes the attention that steps pay to pages to the sequences, for policies that look at it. */
export class PageMass {
  readonly #headGroups: number;
  readonly #allocate: (length: number) => SharedFloats;
  #buffer: SharedFloats;

  constructor(headGroups: number, allocate: (length: number) => SharedFloats) {
    this.#headGroups = headGroups;
    this.#allocate = allocate;
    this.#buffer = allocate(1);
  }

  /** Where a step puts it: [length], the page tables' length. */
  output(length: number): SharedFloats {
    if (this.#buffer.length < length) this.#buffer = this.#allocate(length);
    return this.#buffer.subarray(0, length);
  }

  /** Gives the sequences of a step what it put there. */
  handOut(granted: readonly GrantedShare[], length: number): void {
    const width = length / (this.#headGroups * granted.length);
    for (const [order, { sequence }] of granted.entries()) {
      sequence.pageMass = Array.from({ length: this.#headGroups }, (_, headGroup) => {
        const start = (headGroup * granted.length + order) * width;
        return Float32Array.from(
          this.#buffer.subarray(start, start + sequence.table.pages(headGroup).length),
        );
      });
    }
  }
}
