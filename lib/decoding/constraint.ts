/** Which tokens may come next; one per generation. It follows the text through accept() and rollback(). */
export interface TokenConstraint {
  /** Sets the logits of tokens that may not come next to -Infinity. row: [vocabSize] */
  mask(row: Float32Array): void;
  /**
   * Advances by a token that was chosen.
   *
   * @throws {AirError} AIR_ERR_ARGUMENT when the constraint forbids it
   */
  accept(token: number): void;
  /** Takes back the last `count` accepted tokens. */
  rollback(count: number): void;
  /** Whether only an end-of-generation token may follow. */
  readonly complete: boolean;
  /** Frees what the constraint holds. Idempotent. */
  close(): void;
}
