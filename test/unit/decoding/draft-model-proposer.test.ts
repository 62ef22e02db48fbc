import { describe, expect, test } from "vitest";

import type { TokenConstraint } from "../../../lib/decoding/constraint.js";
import {
  DraftModelProposer,
  type DraftModelOptions,
  type DraftText,
  type GreedyDraft,
} from "../../../lib/decoding/draft-model-proposer.js";
import type { DraftRequest } from "../../../lib/decoding/proposer.js";
import { Sampler } from "../../../lib/decoding/sampler.js";
import { AirError } from "../../../lib/errors/air-error.js";
import { createDeferred } from "../../../lib/util/deferred.js";
import { FakeRowOps } from "../../support/fake-row-ops.js";
import { historyOf, plainSampling } from "../../support/toy-language.js";

const vocabSize = 10;
/** Rows of the draft model are padded; the last ids are not the target's. */
const paddedSize = 12;
const endToken = 9;

/** A draft model that says the token after t is most likely t + 1, with a known cache. */
class FakeDraftText implements DraftText {
  contextTokens = 100;
  cached = 0;
  catchingUp = createDeferred<undefined>();
  catchUps = 0;
  cancels = 0;
  rows = 0;
  failAfter = Infinity;

  missingTokens(tokens: ArrayLike<number>): number {
    return tokens.length - this.cached;
  }

  async catchUp(tokens: ArrayLike<number>): Promise<void> {
    this.catchUps += 1;
    await this.catchingUp.promise;
    this.cached = tokens.length;
  }

  async draft(tokens: ArrayLike<number>, { limit }: DraftRequest): Promise<GreedyDraft> {
    const last = tokens[tokens.length - 1] ?? 0;
    this.cached = tokens.length;
    return Promise.resolve({
      tokens: Array.from({ length: limit }, (_, index) => (last + 1 + index) % paddedSize),
      confidence: Array.from({ length: limit }, () => 0.5),
    });
  }

  async sample(tokens: ArrayLike<number>, choose: (row: Float32Array) => number | undefined): Promise<void> {
    await Promise.resolve();
    this.cached = tokens.length;
    let last: number | undefined = tokens[tokens.length - 1];
    while (last !== undefined) {
      if (this.rows >= this.failAfter)
        throw new Error("expected a working draft model but received a failure");
      const row = new Float32Array(paddedSize).fill(-2, 0, vocabSize).fill(100, vocabSize); // padding
      row[(last + 1) % vocabSize] = 1;
      this.rows += 1;
      last = choose(row);
    }
  }

  cancel(): void {
    this.cancels += 1;
  }
}

/** Forbids nothing, and counts the tokens that it follows. */
class DepthConstraint implements TokenConstraint {
  readonly complete = false;
  depth = 0;
  deepest = 0;
  mask(): void {
    // every token may come
  }
  accept(): void {
    this.depth += 1;
    this.deepest = Math.max(this.deepest, this.depth);
  }
  rollback(count: number): void {
    this.depth -= count;
  }
  close(): void {
    this.depth = 0;
  }
}

function createProposer(text: DraftText, options: Partial<DraftModelOptions> = {}): DraftModelProposer {
  return new DraftModelProposer({
    text,
    vocabSize,
    sampler: undefined,
    constraint: undefined,
    isEnd: (token) => token === endToken,
    pick: undefined,
    waits: false,
    ...options,
  });
}

/** Begins with the text and asks for a draft. */
async function draftAfter(
  proposer: DraftModelProposer,
  tokens: readonly number[],
  { limit = 4, minConfidence = 0 } = {},
) {
  proposer.begin(tokens);
  proposer.look(historyOf(tokens));
  return proposer.propose(historyOf(tokens), { limit, minConfidence });
}

const greedySampler = new Sampler(new FakeRowOps(), vocabSize, { ...plainSampling, temperature: 0 });
const ones = (length: number): number[] => Array.from({ length }, () => 1);

describe("DraftModelProposer", () => {
  test("drafts up to the token that ends the text", async () => {
    const proposer = createProposer(new FakeDraftText());
    expect((await draftAfter(proposer, [1, 2])).tokens).toEqual([3, 4, 5, 6]);
    expect((await draftAfter(proposer, [7])).tokens).toEqual([8, endToken]);
  });

  test("drafts up to an id that the target does not have", async () => {
    const proposer = createProposer(new FakeDraftText(), { isEnd: () => false });
    expect((await draftAfter(proposer, [7])).tokens).toEqual([8, 9]);
    expect((await draftAfter(proposer, [9])).tokens).toEqual([]);
  });

  test("sees the tokens that came since it began, and offers what the context still holds", async () => {
    const text = new FakeDraftText();
    text.contextTokens = 5;
    const proposer = createProposer(text);
    proposer.begin([1, 2]);
    expect(proposer.look(historyOf([1, 2, 3]))).toEqual({ strength: 0, limit: 2 });
    const draft = await proposer.propose(historyOf([1, 2, 3]), { limit: 2, minConfidence: 0 });
    expect(draft.tokens).toEqual([4, 5]);
    expect(proposer.look(historyOf([1, 2, 3, 4, 5]))).toBeUndefined();
  });

  test("measures drafts that had little to catch up on", async () => {
    const text = new FakeDraftText();
    const proposer = createProposer(text);
    expect(await draftAfter(proposer, ones(20))).not.toHaveProperty("ms");
    proposer.look(historyOf(ones(24)));
    const measured = await proposer.propose(historyOf(ones(24)), { limit: 1, minConfidence: 0 });
    expect(measured.ms).toBeGreaterThanOrEqual(0);
  });
});

describe("DraftModelProposer on a long text", () => {
  test("catches up in the background, and drafts afterwards", async () => {
    const text = new FakeDraftText();
    const proposer = createProposer(text);
    expect((await draftAfter(proposer, ones(65))).tokens).toEqual([]);
    expect(proposer.look(historyOf(ones(66)))).toBeUndefined();
    text.catchingUp.resolve(undefined);
    await new Promise((resolve) => setImmediate(resolve));
    expect(proposer.look(historyOf(ones(67)))).toEqual({ strength: 0, limit: 33 });
    const draft = await proposer.propose(historyOf(ones(67)), { limit: 2, minConfidence: 0 });
    expect(draft.tokens).toEqual([2, 3]);
    expect(text.catchUps).toBe(1);
  });

  test("drafts at once after a short one, and where it is to wait", async () => {
    const text = new FakeDraftText();
    expect((await draftAfter(createProposer(text), ones(64))).tokens).toHaveLength(4);
    text.cached = 0;
    expect((await draftAfter(createProposer(text, { waits: true }), ones(90))).tokens).toHaveLength(4);
    expect(text.catchUps).toBe(0);
  });

  test("fails the next draft when catching up failed", async () => {
    const text = new FakeDraftText();
    const proposer = createProposer(text);
    await draftAfter(proposer, ones(80));
    text.catchingUp.reject(new Error("expected pages but received none"));
    await new Promise((resolve) => setImmediate(resolve));
    await expect(proposer.propose(historyOf(ones(80)), { limit: 1, minConfidence: 0 })).rejects.toThrow(
      "expected pages but received none",
    );
  });

  test("catches up anew when it was cancelled", async () => {
    const text = new FakeDraftText();
    const proposer = createProposer(text);
    await draftAfter(proposer, ones(80));
    proposer.cancel();
    expect(text.cancels).toBe(1);
    text.catchingUp.reject(new AirError("AIR_ERR_CANCELLED", "expected a draft but received a cancel"));
    await new Promise((resolve) => setImmediate(resolve));
    expect((await draftAfter(proposer, ones(80))).tokens).toEqual([]);
    expect(text.catchUps).toBe(2);
  });
});

describe("DraftModelProposer that samples", () => {
  test("takes the target's tokens, to the limit or the end", async () => {
    const text = new FakeDraftText();
    const proposer = createProposer(text, { sampler: greedySampler });
    expect((await draftAfter(proposer, [1])).tokens).toEqual([2, 3, 4, 5]);
    expect(text.rows).toBe(4);
    expect((await draftAfter(proposer, [7])).tokens).toEqual([8, endToken]);
    expect(await draftAfter(proposer, [1])).not.toHaveProperty("distributions");
  });

  test("stops after the token that takes the confidence below its minimum", async () => {
    const confidence = Math.exp(1) / (Math.exp(1) + 9 * Math.exp(-2)); // 0.69 for each token
    const proposer = createProposer(new FakeDraftText(), { sampler: greedySampler });
    const lengths: number[] = [];
    for (const least of [1, confidence * 0.99, confidence ** 3 * 1.01, confidence ** 3 * 0.99, 0]) {
      lengths.push((await draftAfter(proposer, [1], { limit: 8, minConfidence: least })).tokens.length);
    }
    expect(lengths).toEqual([1, 2, 3, 4, 8]);
  });

  test("keeps the distributions that a picker draws from", async () => {
    const sampler = new Sampler(new FakeRowOps(), vocabSize, plainSampling);
    const pick = (row: Float32Array, position: number) => {
      const probability = row[position % vocabSize] ?? 0;
      row.fill(0); // what it got may be overwritten
      return { token: position % vocabSize, probability };
    };
    const draft = await draftAfter(createProposer(new FakeDraftText(), { sampler, pick }), [4, 5], {
      limit: 3,
    });
    expect(draft.tokens).toEqual([2, 3, 4]); // the positions
    expect(draft.distributions?.map((row) => row.indexOf(Math.max(...row)))).toEqual([6, 3, 4]);
    for (const row of draft.distributions ?? []) {
      expect(row).toHaveLength(vocabSize);
      expect(row.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    }
  });

  test("takes a constraint back to where it was, whether the draft ends or fails", async () => {
    for (const [start, failAfter, deepest] of [
      [1, Infinity, 3], // four tokens, of which the last is not followed
      [7, Infinity, 1],
      [1, 2, 2],
      [1, 0, 0],
    ] as const) {
      const constraint = new DepthConstraint();
      const text = new FakeDraftText();
      text.failAfter = failAfter;
      const drafting = draftAfter(createProposer(text, { sampler: greedySampler, constraint }), [start]);
      if (failAfter === Infinity) await drafting;
      else await expect(drafting).rejects.toThrow("received a failure");
      expect([constraint.depth, constraint.deepest]).toEqual([0, deepest]);
    }
  });
});
