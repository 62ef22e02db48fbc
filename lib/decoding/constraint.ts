/**
 * Which tokens may come next; one per generation.
 *
 * Rows of draft tokens are masked like any other: mask the row, accept the draft token, go on with the next row, and
 * roll back what verification rejects.
 */
export interface TokenConstraint {
  /**
   * Sets the logits of tokens that may not come next to -Infinity. At least one token is left.
   *
   * @param row - [vocabSize] or longer, where a model pads its rows; padding is masked too
   */
  mask(row: Float32Array): void;
  /**
   * Advances by a token that was chosen.
   *
   * @throws {AirError} AIR_ERR_ARGUMENT when the constraint forbids it; the state is then as before
   */
  accept(token: number): void;
  /**
   * Takes back the last `count` accepted tokens (draft tokens that were rejected).
   *
   * @throws {AirError} AIR_ERR_ARGUMENT when fewer were accepted
   */
  rollback(count: number): void;
  /** Whether only an end-of-generation token may follow. */
  readonly complete: boolean;
  /** Lets go of the state; later calls throw AIR_ERR_CLOSED. Idempotent. */
  close(): void;
}

/** A compiled constraint; makes matchers. Compiled once per schema and tokenizer, and free to share. */
export interface CompiledConstraint {
  /** A matcher at the start of a text. */
  start(): TokenConstraint;
}
