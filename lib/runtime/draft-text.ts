import type { DraftRequest } from "../decoding/proposer.js";
import type { DraftText, GreedyDraft } from "../decoding/draft-model-proposer.js";
import type { RunRequest } from "../engine/run.js";
import type { Sequence } from "../engine/sequence.js";
import { AirError } from "../errors/air-error.js";
import { prefixKeyOf } from "./kv-identity.js";
import { closedError, type DraftCore } from "./model-core.js";

/** One session's text in the draft model's engine, which keeps its K/V from one draft to the next. */
export class EngineDraftText implements DraftText {
  readonly #core: DraftCore;
  readonly #sequence: Sequence;
  #running: Promise<void> | undefined;

  /** @param cacheSalt - the session's */
  constructor(core: DraftCore, cacheSalt: string | undefined) {
    this.#core = core;
    this.#sequence = core.engine.createSequence(prefixKeyOf(core.identity, cacheSalt));
  }

  get contextTokens(): number {
    return this.#core.contextTokens;
  }

  missingTokens(tokens: ArrayLike<number>): number {
    return tokens.length - this.#sequence.commonTokens(tokens);
  }

  async catchUp(tokens: ArrayLike<number>): Promise<void> {
    await this.#run({ tokens, logitsFrom: tokens.length, onLogits: () => [] });
  }

  async draft(tokens: ArrayLike<number>, { limit, minConfidence }: DraftRequest): Promise<GreedyDraft> {
    let drafted: GreedyDraft = { tokens: [], confidence: [] };
    await this.#run({
      tokens,
      count: limit,
      minConfidence,
      onDraft: (ids, confidence) => {
        drafted = { tokens: ids, confidence };
      },
    });
    return drafted;
  }

  async sample(tokens: ArrayLike<number>, choose: (row: Float32Array) => number | undefined): Promise<void> {
    const onLogits = (row: Float32Array): readonly number[] => {
      const token = choose(row);
      return token === undefined ? [] : [token];
    };
    await this.#run({ tokens, logitsFrom: tokens.length - 1, onLogits });
  }

  cancel(): void {
    const reason = new AirError(
      "AIR_ERR_CANCELLED",
      "expected the draft to be used but received the end of its text",
    );
    this.#core.engine.cancel(this.#sequence, reason);
  }

  /** Frees its pages. Idempotent. */
  close(): void {
    this.#core.engine.closeSequence(this.#sequence, closedError("session"));
  }

  /** Runs what is asked for, once what was cancelled has come to its end. */
  async #run(request: RunRequest): Promise<void> {
    if (this.#running !== undefined) await this.#running;
    const run = this.#core.engine.run(this.#sequence, request);
    const settled = run.catch(() => undefined);
    this.#running = settled;
    try {
      await run;
    } finally {
      if (this.#running === settled) this.#running = undefined;
    }
  }
}
