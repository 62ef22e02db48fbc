import { describe, expect, test } from "vitest";

import { AcceptancePriors } from "../../../lib/decoding/acceptance-rates.js";
import type { Proposer } from "../../../lib/decoding/proposer.js";
import { bestDraft, type DraftPlan, SpeculationPolicy } from "../../../lib/decoding/speculation-policy.js";
import { StepCosts } from "../../../lib/util/step-costs.js";
import { uniform } from "../../../lib/util/rng.js";
import { FakeProposer } from "../../support/fake-proposer.js";

/** Costs of a step of one row, and of `rowMs` for each row more. */
function costsOf({ stepMs = 10, rowMs = 0.5, draftMs = 1, rows = 8 } = {}): StepCosts {
  const costs = new StepCosts();
  for (let index = 0; index < 40; index += 1) {
    costs.observeStep(1, stepMs);
    costs.observeStep(rows, stepMs + (rows - 1) * rowMs);
  }
  costs.observeDraft(1, draftMs);
  return costs;
}

function createPolicy(
  proposers: readonly Proposer[],
  { costs = costsOf(), priors = new AcceptancePriors(), maxDraftTokens = 8, isFixed = false } = {},
): SpeculationPolicy {
  return new SpeculationPolicy({ proposers, costs, priors, maxDraftTokens, isFixed });
}

const offer = (proposer: Proposer, limit = 100, strength = 0) => ({
  proposer,
  prospect: { strength, limit },
});

/** The steps, of so many, at which one proposer drafts; `accepted` tells how its drafts turn out. */
function draftingSteps(
  policy: SpeculationPolicy,
  proposer: Proposer,
  steps: number,
  accepted: (step: number, limit: number) => number,
): readonly number[] {
  const drafting: number[] = [];
  for (let step = 0; step < steps; step += 1) {
    const plan = policy.plan([offer(proposer)], 100, 1);
    if (plan === undefined) continue;
    drafting.push(step);
    policy.observe(plan, plan.limit, accepted(step, plan.limit));
  }
  return drafting;
}

describe("bestDraft", () => {
  test("takes the count with the most expected tokens per second, like a search by the formula", () => {
    for (let trial = 0; trial < 200; trial += 1) {
      const random = (index: number): number => uniform(9, trial * 100 + index, "sample");
      const rates = Array.from({ length: 8 }, (_, index) => random(index));
      const costs = costsOf({ rowMs: random(20), rows: 5 });
      const draftMs = 3 * random(21);
      const sequences = 1 + Math.floor(3 * random(22));
      const speedups = [0, ...rates.keys()].map((_rate, count) => {
        let expected = 1;
        for (let length = 1; length <= count; length += 1) {
          expected += rates.slice(0, length).reduce((product, rate) => product * rate, 1);
        }
        const stepMs = costs.stepMs(sequences * (count + 1)) ?? NaN;
        return (expected * (costs.stepMs(sequences) ?? NaN)) / (count * draftMs + stepMs);
      });
      speedups[0] = 1;
      const best = speedups.reduce((a, b) => Math.max(a, b));
      const choice = bestDraft({ rates, draftMs, sequences, costs });
      expect(choice.speedup).toBeCloseTo(best, 10);
      expect(speedups[choice.count]).toBeCloseTo(best, 10);
    }
  });

  test("drafts less in steps that many sequences share, where rows cost", () => {
    const costs = costsOf({ rowMs: 2 });
    const outlook = { rates: [0.9, 0.9, 0.9, 0.9, 0.9, 0.9], draftMs: 0, costs };
    const counts = [1, 2, 4, 8].map((sequences) => bestDraft({ ...outlook, sequences }).count);
    expect(counts).toEqual([...counts].sort((a, b) => b - a));
    expect(counts[0]).toBeGreaterThan(counts[3] ?? Infinity);
  });

  test("drafts nothing where it cannot pay", () => {
    const costs = costsOf({ rowMs: 0 });
    expect(bestDraft({ rates: [0, 0], draftMs: 1, sequences: 1, costs })).toEqual({ count: 0, speedup: 1 });
    expect(bestDraft({ rates: [], draftMs: 0, sequences: 1, costs })).toEqual({ count: 0, speedup: 1 });
    expect(bestDraft({ rates: [0.9, 0.9], draftMs: 20, sequences: 1, costs }).count).toBe(0);
  });
});

describe("SpeculationPolicy", () => {
  test("measures a plain step before it drafts, for each number of sequences", () => {
    const proposer = new FakeProposer("draft-model");
    const costs = new StepCosts();
    const policy = createPolicy([proposer], { costs });
    expect(policy.plan([offer(proposer)], 10, 1)).toBeUndefined();
    costs.observeStep(1, 10);
    expect(policy.plan([offer(proposer)], 10, 1)?.proposer).toBe(proposer);
    expect(policy.plan([offer(proposer)], 10, 2)).toBeUndefined();
    costs.observeStep(2, 10);
    expect(policy.plan([offer(proposer)], 10, 2)?.proposer).toBe(proposer);
  });

  test("drafts at most what is asked for, what is of use and what the proposer can", () => {
    const proposer = new FakeProposer("ngram");
    const policy = createPolicy([proposer], { costs: costsOf({ rowMs: 0.01 }), maxDraftTokens: 6 });
    for (let step = 0; step < 50; step += 1) policy.observe({ proposer, strength: 0 }, 6, 6);
    const limit = (most: number, room: number): number | undefined =>
      policy.plan([offer(proposer, most)], room, 1)?.limit;
    expect([limit(100, 100), limit(100, 3), limit(2, 100), limit(100, 1)]).toEqual([6, 3, 2, 1]);
    expect(policy.plan([], 10, 1)).toBeUndefined();
  });

  test("stops drafting what is never accepted, and tries again after pauses that grow", () => {
    const proposer = new FakeProposer("draft-model");
    const steps = draftingSteps(createPolicy([proposer]), proposer, 2000, () => 0);
    const off = steps.findIndex((step, index) => (steps[index + 1] ?? 0) - step > 1);
    expect(off).toBeLessThan(10);
    const gaps = steps.slice(off + 1).map((step, index) => step - (steps[off + index] ?? 0));
    expect(gaps).toEqual([512, 512]); // hardly any guess comes true, and the whole text would have to be read
  });

  test("tries costly guesses less often where others wait for them", () => {
    const trialsAmong = (sequences: number, name: "ngram" | "draft-model"): number => {
      const proposer = new FakeProposer(name);
      const costs = new StepCosts();
      for (const rows of [1, 4, 16, 64]) costs.observeStep(rows, 10 * rows);
      costs.observeDraft(1, 8);
      const policy = createPolicy([proposer], { costs });
      for (let step = 0; step < 60; step += 1) policy.observe({ proposer, strength: 0 }, 1, step % 2);
      const plans = Array.from({ length: 600 }, () => policy.plan([offer(proposer)], 100, sequences));
      return plans.filter((plan) => plan !== undefined).length;
    };
    expect([1, 4, 16].map((sequences) => trialsAmong(sequences, "draft-model"))).toEqual([2, 1, 0]);
    expect([1, 4, 16].map((sequences) => trialsAmong(sequences, "ngram"))).toEqual([3, 3, 3]);
  });

  test("tries guesses that cost nothing sooner", () => {
    const proposer = new FakeProposer("ngram");
    const steps = draftingSteps(createPolicy([proposer]), proposer, 500, () => 0);
    const off = steps.findIndex((step, index) => (steps[index + 1] ?? 0) - step > 1);
    expect(steps.slice(off + 1).map((step, index) => step - (steps[off + index] ?? 0))).toEqual([
      16, 64, 256,
    ]);
  });

  test("starts from what earlier texts told of the same class of guesses", () => {
    const priors = new AcceptancePriors();
    const proposer = new FakeProposer("ngram");
    const before = createPolicy([proposer], { priors });
    for (let step = 0; step < 100; step += 1) {
      before.observe({ proposer, strength: 0 }, 2, 0);
      before.observe({ proposer, strength: 1 }, 2, 2);
    }
    const policy = createPolicy([proposer], { priors });
    expect(policy.plan([offer(proposer, 100, 0)], 100, 1)).toBeUndefined();
    expect(policy.isOff).toBe(true);
    expect(policy.plan([offer(proposer, 100, 1)], 100, 1)?.limit).toBe(8);
    expect(policy.isOff).toBe(false);
  });

  test("goes on with guesses that come true again after a trial", () => {
    const proposer = new FakeProposer("draft-model");
    const accepted = (step: number, limit: number): number => (step < 200 ? 0 : limit);
    const steps = draftingSteps(createPolicy([proposer]), proposer, 3000, accepted);
    expect(steps.filter((step) => step < 200).length).toBeLessThan(15);
    expect(steps.filter((step) => step >= 2500).length).toBe(500);
  });

  test("keeps drafting when it promises 1.05 and leaves it at less", () => {
    // One draft token at most, accepted at rate a: speed-up (1 + a) * 10 / (draftMs + 10 + rowMs).
    const draftsAt = (draftMs: number): number => {
      const proposer = new FakeProposer("draft-model");
      const policy = createPolicy([proposer], {
        costs: costsOf({ draftMs, rowMs: 0, rows: 2 }),
        maxDraftTokens: 1,
      });
      for (let step = 0; step < 200; step += 1) policy.observe({ proposer, strength: 0 }, 1, step % 2);
      return draftingSteps(policy, proposer, 50, (step) => step % 2).length;
    };
    expect(draftsAt(3.3)).toBe(50); // about 1.5 / 1.33 = 1.13
    expect(draftsAt(4.8)).toBe(0); // about 1.5 / 1.48 = 1.01
  });

  test("takes the proposer that promises most, by what is known of each class of guesses", () => {
    const ngram = new FakeProposer("ngram");
    const model = new FakeProposer("draft-model");
    const policy = createPolicy([ngram, model]);
    for (let step = 0; step < 60; step += 1) {
      policy.observe({ proposer: ngram, strength: 0 }, 4, 0);
      policy.observe({ proposer: ngram, strength: 1 }, 4, 4);
      policy.observe({ proposer: model, strength: 0 }, 4, step % 4);
    }
    const plan = (strength: number): DraftPlan | undefined =>
      policy.plan([offer(ngram, 100, strength), offer(model)], 100, 1);
    expect(plan(0)?.proposer).toBe(model);
    expect(plan(1)).toMatchObject({ proposer: ngram, strength: 1 });
    expect(policy.refusedRate(ngram)).toBeLessThan(0.1); // of the class that never comes true
    expect(policy.refusedRate(model)).toBeUndefined();
  });

  test("asks for more confidence where draft tokens cost more", () => {
    const confidenceAt = (draftMs: number): number => {
      const proposer = new FakeProposer("draft-model");
      const policy = createPolicy([proposer], { costs: costsOf({ draftMs, rowMs: 0.1 }) });
      for (let step = 0; step < 60; step += 1) {
        policy.observe({ proposer, strength: 0 }, 8, step % 9, [0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]);
      }
      return policy.plan([offer(proposer)], 100, 1)?.minConfidence ?? NaN;
    };
    const [cheap, dear] = [confidenceAt(0.2), confidenceAt(1.5)];
    expect(cheap).toBeGreaterThan(0);
    expect(dear).toBeGreaterThan(cheap);
    expect(dear).toBeLessThanOrEqual(0.9);
  });

  test("does not take rows that seem to save time for a reason to draft", () => {
    const costs = new StepCosts();
    costs.observeStep(1, 10);
    costs.observeStep(2, 8);
    expect(bestDraft({ rates: [0.04], draftMs: 0, sequences: 1, costs })).toEqual({
      count: 1,
      speedup: 1.04,
    });
  });

  test("asks for no less than no confidence where more rows happened to take less time", () => {
    const proposer = new FakeProposer("draft-model");
    const costs = new StepCosts();
    costs.observeStep(1, 10);
    costs.observeStep(9, 8);
    costs.observeDraft(1, 0.1);
    const policy = createPolicy([proposer], { costs });
    expect(policy.plan([offer(proposer)], 100, 1)?.minConfidence).toBeGreaterThanOrEqual(0);
  });
});

describe("SpeculationPolicy in fixed mode", () => {
  test("always drafts the same count with the first proposer that can, whatever it costs", () => {
    const [ngram, model] = [new FakeProposer("ngram"), new FakeProposer("draft-model")];
    const policy = createPolicy([ngram, model], {
      costs: new StepCosts(),
      isFixed: true,
      maxDraftTokens: 3,
    });
    for (let step = 0; step < 50; step += 1) {
      const plan = policy.plan([offer(ngram), offer(model)], 100, 2);
      expect(plan).toEqual({ proposer: ngram, strength: 0, limit: 3, minConfidence: 0 });
      policy.observe({ proposer: ngram, strength: 0 }, 3, 0);
    }
    expect(policy.plan([offer(model, 2)], 100, 1)).toMatchObject({ proposer: model, limit: 2 });
  });
});
