import { describe, expect, test } from "vitest";

import { divergence, type ComparedModel } from "../../../lib/compression/divergence.js";
import { DivergenceTally } from "../../../lib/compression/divergence-tally.js";
import { perplexity } from "../../../lib/compression/evaluate.js";
import { verdictOf } from "../../../lib/compression/kv-check.js";
import { createFakeModel, encodeCharacters, fakeVocabSize } from "../../support/fake-model.js";
import { FakeRowOps } from "../../support/fake-row-ops.js";

const text = encodeCharacters(
  "it was the best of times, it was the worst of times, it was the age of wisdom",
);
const maths = new FakeRowOps();
const options = { contextTokens: 31, stride: 10 };

/** A model that predicts what another does, with its logits changed. */
function altered(model: ComparedModel, change: (row: Float32Array, index: number) => void): ComparedModel {
  return {
    info: model.info,
    tokenizer: model.tokenizer,
    rowOps: model.rowOps,
    evaluate: (tokens, { onRow, ...rest }) =>
      model.evaluate(tokens, {
        ...rest,
        onRow: (row, index) => {
          const own = Float32Array.from(row);
          change(own, index);
          onRow(own, index);
        },
      }),
  };
}

function flatten(row: Float32Array): void {
  for (const [id, value] of row.entries()) row[id] = value / 2;
}

describe("divergence", () => {
  test("is nothing between a model and itself, whose perplexity it reports", async () => {
    const { model } = createFakeModel();
    const { model: same } = createFakeModel();
    const result = await divergence(same, model, text, options);
    expect(result).toMatchObject({ meanDivergence: 0, p99Divergence: 0, sameTopRate: 1 });
    expect(result.model).toEqual(await perplexity(model, text, options));
    expect(result.reference).toEqual(result.model);
  });

  test("compares each scored token with the same one of the reference", async () => {
    const { model } = createFakeModel();
    // Shifted logits are the same prediction; halved ones are flatter, with the same favourite.
    const shifted = altered(model, (row, index) => {
      for (const [id, value] of row.entries()) row[id] = value + index;
    });
    const flat = altered(model, flatten);
    const same = await divergence(shifted, model, text, options);
    expect(same.meanDivergence).toBeLessThan(1e-6);
    const result = await divergence(flat, model, text, options);
    expect(result.meanDivergence).toBeGreaterThan(0.01);
    expect(result.p99Divergence).toBeGreaterThanOrEqual(result.meanDivergence);
    expect(result.sameTopRate).toBe(1);
    expect(result.model.meanNll).not.toBe(result.reference.meanNll);
    expect(result.reference).toEqual(await perplexity(model, text, options));
  });

  test("is of the model from the reference, not the other way round", async () => {
    const { model } = createFakeModel();
    const flat = altered(model, flatten);
    const there = await divergence(flat, model, text, options);
    const back = await divergence(model, flat, text, options);
    expect(there.meanDivergence).not.toBeCloseTo(back.meanDivergence, 4);
  });

  test("compares the tokens that both have", async () => {
    const { model } = createFakeModel();
    const wider: ComparedModel = {
      ...altered(model, () => undefined),
      info: { ...model.info, vocabSize: fakeVocabSize + 3 },
      evaluate: (tokens, { onRow, ...rest }) =>
        model.evaluate(tokens, {
          ...rest,
          onRow: (row, index) => {
            onRow(Float32Array.of(...row, 50, 50, 50), index);
          },
        }),
    };
    expect(await divergence(wider, model, text, options)).toMatchObject({
      meanDivergence: 0,
      sameTopRate: 1,
    });
    expect(await divergence(model, wider, text, options)).toMatchObject({
      meanDivergence: 0,
      sameTopRate: 1,
    });
  });

  test("refuses a text that is too short, and stops on abort", async () => {
    const { model } = createFakeModel();
    await expect(divergence(model, model, text.subarray(0, 5), options)).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
    });
    const aborted = { ...options, signal: AbortSignal.abort() };
    await expect(divergence(model, model, text, aborted)).rejects.toMatchObject({
      code: "AIR_ERR_CANCELLED",
    });
  });
});

describe("DivergenceTally", () => {
  test("adds up divergences, favourites and likelihoods", () => {
    const tally = new DivergenceTally(maths, 2);
    const even = Float32Array.of(0, 0);
    const three = Float32Array.of(Math.log(3), 0);
    tally.add(even, even, 0);
    tally.add(even, three, 0); // 3/4 to 1/4
    tally.add(Float32Array.of(0, Math.log(3)), three, 1);
    const { meanDivergence, p99Divergence, sameTopRate, model, reference } = tally.result();
    const second = Math.log(2) - Math.log(3) / 2; // of (3/4, 1/4) from (1/2, 1/2)
    const third = Math.log(3) / 2; // of (3/4, 1/4) from (1/4, 3/4)
    expect(meanDivergence).toBeCloseTo((second + third) / 3, 6);
    expect(p99Divergence).toBeCloseTo(third, 6);
    expect(sameTopRate).toBe(2 / 3);
    expect(model.tokens).toBe(3);
    expect(model.meanNll).toBeCloseTo((Math.log(2) + Math.log(4 / 3) + Math.log(4)) / 3, 6);
    expect(reference.meanNll).toBeCloseTo((2 * Math.log(2) + Math.log(4 / 3)) / 3, 6);
  });

  test("takes the divergence that one token in a hundred exceeds", () => {
    const tally = new DivergenceTally(maths, 2);
    for (let index = 0; index < 200; index += 1) {
      tally.add(Float32Array.of(0, 0), Float32Array.of(index < 197 ? 0 : index - 196, 0), 0);
    }
    const of = (logit: number) => maths.divergenceRow(Float32Array.of(0, 0), Float32Array.of(logit, 0));
    expect(tally.result().p99Divergence).toBe(of(2)); // two of 200 have as much or more
  });
});

test.each([
  [0, "fine"],
  [0.01, "fine"],
  [0.011, "visible"],
  [0.099, "visible"],
  [0.1, "harmful"],
  [Infinity, "harmful"],
  [NaN, "harmful"],
] as const)("a mean divergence of %d nats is %s", (meanDivergence, verdict) => {
  expect(verdictOf(meanDivergence)).toBe(verdict);
});
