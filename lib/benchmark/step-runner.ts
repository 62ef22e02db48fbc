import type { Batch, NativeRunner, SharedFloats } from "../native/native.js";
import type { ModelParts } from "../runtime/model.js";
import { uniform } from "../util/rng.js";

/** What one timed step computes; all sequences are alike and own consecutive pages from page 1 on. */
export interface StepShape {
  readonly sequences: number;
  /** Pages that each sequence owns. */
  readonly pagesEach: number;
  /** Tokens that each sequence has before the step. */
  readonly cachedTokens: number;
  readonly newTokens: number;
  /** Logits of every new token, or of the last one of each sequence. */
  readonly logits: "all" | "last";
}

const tokenSeed = 1;

/** The batch of a step, with token ids drawn below `vocabSize`. */
export function buildStep(shape: StepShape, pageTokens: number, vocabSize: number): Batch {
  const { sequences, pagesEach, cachedTokens, newTokens, logits } = shape;
  const total = sequences * newTokens;
  const contextLength = cachedTokens + newTokens;
  const maxPages = Math.ceil(contextLength / pageTokens);
  const sequenceOf = (token: number): number => Math.floor(token / newTokens);
  const indexOf = (token: number): number => cachedTokens + (token % newTokens);
  const page = (sequence: number, order: number): number => 1 + sequence * pagesEach + order;
  const slot = (sequence: number, index: number): number =>
    page(sequence, Math.floor(index / pageTokens)) * pageTokens + (index % pageTokens);
  const draw = (token: number): number =>
    Math.floor(uniform(tokenSeed + sequenceOf(token), indexOf(token), "draft") * vocabSize);
  const fill = (length: number, value: (index: number) => number): Int32Array =>
    Int32Array.from({ length }, (_, index) => value(index));
  return {
    tokens: fill(total, draw),
    positions: fill(total, indexOf),
    slots: fill(total, (token) => slot(sequenceOf(token), indexOf(token))),
    sequenceStarts: fill(sequences + 1, (sequence) => sequence * newTokens),
    pageTables: fill(sequences * maxPages, (cell) => page(Math.floor(cell / maxPages), cell % maxPages)),
    contextLengths: fill(sequences, () => contextLength),
    logitRows:
      logits === "all" ? fill(total, (row) => row) : fill(sequences, (row) => (row + 1) * newTokens - 1),
  };
}

/** Runs steps on a model's runner and says how long each took. */
export class StepRunner {
  readonly #runner: NativeRunner;
  readonly #logits: SharedFloats;
  readonly #vocabSize: number;
  readonly #pageTokens: number;

  /** @param maxRows - most rows of logits of one step */
  constructor(parts: ModelParts, maxRows: number) {
    const { runner, arena, addon, info } = parts;
    this.#runner = runner;
    this.#vocabSize = info.vocabSize;
    this.#pageTokens = arena.pageTokens;
    this.#logits = addon.allocateShared(maxRows * info.vocabSize);
  }

  /** Computes a step; milliseconds of the forward pass. */
  async run(shape: StepShape): Promise<number> {
    const batch = buildStep(shape, this.#pageTokens, this.#vocabSize);
    const logits = this.#logits.subarray(0, batch.logitRows.length * this.#vocabSize);
    const { computeMicros } = await this.#runner.forward(batch, { logits });
    return computeMicros / 1000;
  }

  /** Drafts `count` tokens; milliseconds of the call. The pages of the shape have room for them. */
  async propose(shape: StepShape, count: number): Promise<number> {
    const batch = buildStep(shape, this.#pageTokens, this.#vocabSize);
    const counts = new Int32Array(shape.sequences).fill(count);
    const { computeMicros } = await this.#runner.propose(batch, { counts, minConfidence: 0 });
    return computeMicros / 1000;
  }
}

/**
 * Gives every page plausible keys and values, so that steps at any depth read what a long text would leave: one page of
 * tokens is computed and copied to all others.
 */
export async function fillPages(steps: StepRunner, { arena }: ModelParts): Promise<void> {
  await steps.run({
    sequences: 1,
    pagesEach: 1,
    cachedTokens: 0,
    newTokens: arena.pageTokens,
    logits: "last",
  });
  const others = Math.max(0, (arena.headGroups[0]?.pageCount ?? 0) - 2);
  const targets = Int32Array.from({ length: others }, (_, index) => index + 2);
  arena.copyPages(0, new Int32Array(others).fill(1), targets);
}
