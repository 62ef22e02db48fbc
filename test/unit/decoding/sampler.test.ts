import { describe, expect, test } from "vitest";

import { Sampler, type SamplingOptions } from "../../../lib/decoding/sampler.js";
import { FakeRowOps } from "../../support/fake-row-ops.js";
import { historyOf, plainSampling } from "../../support/toy-language.js";

const maths = new FakeRowOps();
const defaults: SamplingOptions = { ...plainSampling, temperature: 0 };

function sample(
  logits: readonly number[],
  options: Partial<SamplingOptions>,
  tokens: readonly number[] = [],
): number {
  const row = Float32Array.from(logits);
  return new Sampler(maths, row.length, { ...defaults, ...options }).sample(row, historyOf(tokens)).token;
}

/** How often each id is drawn over `draws` positions. */
function frequencies(logits: readonly number[], options: Partial<SamplingOptions>, draws = 4000): number[] {
  const counts = logits.map(() => 0);
  const sampler = new Sampler(maths, logits.length, { ...defaults, temperature: 1, ...options });
  for (let position = 0; position < draws; position += 1) {
    const { token } = sampler.sample(Float32Array.from(logits), { length: position, token: () => -1 });
    counts[token] = (counts[token] ?? 0) + 1;
  }
  return counts.map((count) => count / draws);
}

/** Logits whose softmax at temperature 1 is `probabilities`. */
const logitsOf = (...probabilities: number[]): number[] => probabilities.map(Math.log);

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expected.forEach((value, id) => {
    // Four standard deviations of a proportion over 4000 draws are at most 0.032.
    expect(Math.abs((actual[id] ?? 0) - value)).toBeLessThan(0.032);
    if (value === 0) expect(actual[id]).toBe(0);
  });
}

describe("Sampler at temperature 0", () => {
  test("takes the largest logit, the lowest id among equals", () => {
    expect(sample([1, 5, 5, 2], {})).toBe(1);
  });

  test("applies logit bias before anything else", () => {
    expect(sample([1, 5, 4], { logitBias: new Map([[1, -Infinity]]) })).toBe(2);
    expect(sample([1, 5, 4], { logitBias: new Map([[0, 10]]) })).toBe(0);
  });

  test("divides positive and multiplies negative logits by the repetition penalty", () => {
    expect(sample([4, 3], { repetitionPenalty: 2 }, [0])).toBe(1);
    expect(sample([-1, -1.5], { repetitionPenalty: 2 }, [0])).toBe(1);
    expect(sample([4, 3], { repetitionPenalty: 1.3 }, [0])).toBe(0);
  });

  test("subtracts the presence penalty once and the frequency penalty per occurrence", () => {
    expect(sample([4, 3.5], { presencePenalty: 0.4 }, [0, 0, 0])).toBe(0);
    expect(sample([4, 3.5], { presencePenalty: 0.6 }, [0])).toBe(1);
    expect(sample([4, 3.5], { frequencyPenalty: 0.2 }, [0, 0])).toBe(0);
    expect(sample([4, 3.5], { frequencyPenalty: 0.2 }, [0, 0, 0])).toBe(1);
  });

  test("penalises only the last penaltyLastN tokens", () => {
    expect(sample([4, 3], { repetitionPenalty: 2, penaltyLastN: 2 }, [0, 2, 2])).toBe(0);
    expect(sample([4, 3], { repetitionPenalty: 2, penaltyLastN: 3 }, [0, 2, 2])).toBe(1);
    expect(sample([4, 3], { repetitionPenalty: 2, penaltyLastN: 0 }, [0])).toBe(0);
  });
});

describe("Sampler at a temperature too small for float32", () => {
  test.each([1e-38, 1e-300])("takes the most likely token at %d without dividing by it", (temperature) => {
    const undivided = Object.assign(new FakeRowOps(), {
      softmaxRows: () => expect.fail("divided by the temperature"),
    });
    const sampler = new Sampler(undivided, 3, { ...defaults, temperature });
    expect(sampler.sample(Float32Array.of(1, 3, 2), historyOf([])).token).toBe(1);
  });
});

describe("Sampler at a temperature", () => {
  test("draws from the softmax", () => {
    expectClose(frequencies(logitsOf(0.5, 0.2, 0.3), {}), [0.5, 0.2, 0.3]);
  });

  test("flattens the distribution as softmax(logits / temperature) does", () => {
    const total = Math.sqrt(0.81) + Math.sqrt(0.09) + Math.sqrt(0.1);
    expectClose(frequencies(logitsOf(0.81, 0.09, 0.1), { temperature: 2 }), [0.9 / total, 0.3 / total]);
  });

  test("keeps and renormalises the k most likely tokens", () => {
    expectClose(frequencies(logitsOf(0.1, 0.5, 0.3, 0.1), { topK: 2 }), [0, 0.625, 0.375, 0]);
  });

  test("keeps the fewest tokens that reach the mass of top-p, the crossing one included", () => {
    expectClose(frequencies(logitsOf(0.1, 0.5, 0.3, 0.1), { topP: 0.6 }), [0, 0.625, 0.375, 0]);
    expectClose(frequencies(logitsOf(0.1, 0.5, 0.3, 0.1), { topP: 0 }), [0, 1, 0, 0]);
  });

  test("counts the mass of top-p after top-k", () => {
    // After top-k 2: 0.625 and 0.375; 0.6 is reached by the first alone, which has only 0.5 before.
    expectClose(frequencies(logitsOf(0.1, 0.5, 0.3, 0.1), { topK: 2, topP: 0.6 }), [0, 1, 0, 0]);
  });

  test("keeps tokens of at least minP times the top probability", () => {
    expectClose(frequencies(logitsOf(0.1, 0.5, 0.3, 0.1), { minP: 0.5 }), [0, 0.625, 0.375, 0]);
  });

  test.each([
    ["top-p", { topP: 0.9 }],
    ["min-p", { minP: 0.2 }],
  ])("cuts a flat vocabulary of 1000 exactly by %s, past the first candidates", (name, options) => {
    // Probability falls linearly with the id, so the cut lies far beyond the first 64 candidates.
    const weights = Array.from({ length: 1000 }, (_, id) => 1000 - id);
    const total = weights.reduce((a, b) => a + b, 0);
    let mass = 0;
    const expected = weights.findIndex((weight) => {
      mass += weight / total;
      return name === "top-p" ? mass >= 0.9 : weight < 0.2 * 1000;
    });
    const kept = name === "top-p" ? expected + 1 : expected;
    const drawn = frequencies(logitsOf(...weights), options, 3000);
    const highest = drawn.findLastIndex((frequency) => frequency > 0);
    expect(highest).toBeLessThan(kept);
    expect(highest).toBeGreaterThan(kept * 0.97);
  });

  test("draws the same token for the same seed and position, whatever was drawn before", () => {
    const logits = logitsOf(0.25, 0.25, 0.25, 0.25);
    const sampler = new Sampler(maths, 4, { ...defaults, temperature: 1, seed: 5 });
    const drawAt = (position: number): number =>
      sampler.sample(Float32Array.from(logits), { length: position, token: () => -1 }).token;
    const forwards = Array.from({ length: 50 }, (_, position) => drawAt(position));
    const backwards = Array.from({ length: 50 }, (_, index) => drawAt(49 - index)).reverse();
    expect(backwards).toEqual(forwards);
    expect(new Set(forwards).size).toBe(4);
  });
});

describe("Sampler and bad logits", () => {
  test.each([
    ["NaN", [1, NaN, 2]],
    ["infinite", [1, Infinity, 2]],
    ["all -Infinity", [-Infinity, -Infinity]],
  ])("refuses %s logits, naming the position", (_name, logits) => {
    for (const temperature of [0, 1]) {
      expect(() => sample(logits, { temperature }, [0, 0, 0])).toThrow(
        expect.objectContaining({ code: "AIR_ERR_INTERNAL", message: expect.stringContaining("position 3") }),
      );
    }
  });

  test("refuses a bias that forbids every token", () => {
    const logitBias = new Map([0, 1].map((id) => [id, -Infinity]));
    expect(() => sample([1, 2], { logitBias, temperature: 1 })).toThrow(
      expect.objectContaining({
        code: "AIR_ERR_ARGUMENT",
        message: expect.stringContaining("after bias, penalties and constraint"),
      }),
    );
  });
});

describe("Sampler logprobs", () => {
  test("are of the model's own distribution, whatever the options", () => {
    const row = Float32Array.from(logitsOf(0.5, 0.3, 0.2));
    const options = { ...defaults, temperature: 1, topK: 1, logitBias: new Map([[2, 100]]), logprobs: 2 };
    const { token, logprobs } = new Sampler(maths, 3, options).sample(row, historyOf([2]));
    expect(token).toBe(2);
    expect(logprobs?.token).toBe(2);
    expect(logprobs?.logprob).toBeCloseTo(Math.log(0.2), 5);
    expect(logprobs?.top.map((entry) => entry.token)).toEqual([0, 1]);
    expect(logprobs?.top[1]?.logprob).toBeCloseTo(Math.log(0.3), 5);
  });

  test("are absent unless asked for, and can be of the chosen token alone", () => {
    const row = Float32Array.from([1, 2]);
    expect(new Sampler(maths, 2, defaults).sample(row.slice(), historyOf([])).logprobs).toBeUndefined();
    const alone = new Sampler(maths, 2, { ...defaults, logprobs: 0 }).sample(row, historyOf([]));
    expect(alone.logprobs?.top).toEqual([]);
    expect(alone.logprobs?.logprob).toBeCloseTo(2 - Math.log(Math.exp(1) + Math.exp(2)), 5);
  });
});
