import { describe, expect, test } from "vitest";

import { AcceptancePriors } from "../../../lib/decoding/acceptance-rates.js";
import { Speculator } from "../../../lib/decoding/speculator.js";
import { StepCosts } from "../../../lib/util/step-costs.js";
import { FakeProposer } from "../../support/fake-proposer.js";
import { historyOf } from "../../support/toy-language.js";

const text = historyOf([1, 2, 3]);

function createSpeculator(
  proposers: readonly FakeProposer[],
  { costs = new StepCosts(), isFixed = true } = {},
) {
  return new Speculator({ proposers, costs, priors: new AcceptancePriors(), maxDraftTokens: 4, isFixed });
}

/** Notes a step of one sequence whose draft had `drafted` rows. */
function observe(speculator: Speculator, drafted: number, accepted: number, ms: number | "unmeasured" = 10) {
  const measured = ms === "unmeasured" ? undefined : ms;
  speculator.observe({ drafted, accepted, rows: drafted + 1, sequences: 1, ms: measured });
}

describe("Speculator", () => {
  test("hands out a proposer's guesses, and keeps them until they are verified", async () => {
    const ngram = new FakeProposer("ngram");
    const model = new FakeProposer("draft-model");
    const speculator = createSpeculator([ngram, model]);
    speculator.begin([1, 2, 3]);
    expect([ngram.begins, model.begins]).toEqual([1, 1]);
    expect(speculator.propose(text, 10)).toEqual([7, 7, 7, 7]);
    expect(speculator.draft?.tokens).toEqual([7, 7, 7, 7]);
    observe(speculator, 4, 2);
    expect(speculator.draft).toBeUndefined();
    ngram.prospect = undefined;
    model.answer = async () => Promise.resolve({ tokens: [8, 9] });
    expect(await speculator.propose(text, 10)).toEqual([8, 9]);
    expect(speculator.report().proposer).toBe("ngram+draft-model");
    expect(speculator.draft?.tokens).toEqual([8, 9]);
    speculator.cancel();
    expect([ngram.cancels, model.cancels]).toEqual([1, 1]);
  });

  test("counts what was verified and accepted", () => {
    const speculator = createSpeculator([new FakeProposer("ngram")]);
    const outcomes = [
      [4, 4],
      [4, 0],
      [3, 2], // one guess had no room in the step
    ] as const;
    observe(speculator, 0, 0); // the prompt's own step
    for (const [drafted, accepted] of outcomes) {
      void speculator.propose(text, 10);
      observe(speculator, drafted, accepted);
    }
    expect(speculator.report()).toMatchObject({
      proposer: "ngram",
      drafted: 11,
      accepted: 6,
      acceptanceRate: 6 / 11,
      meanAcceptanceLength: 3,
      cycles: 3,
    });
  });

  test("counts no cycle when nothing was guessed, or no guess had room", () => {
    const proposer = new FakeProposer("ngram");
    const speculator = createSpeculator([proposer]);
    expect(speculator.propose(text, 0)).toEqual([]);
    observe(speculator, 0, 0);
    void speculator.propose(text, 10);
    observe(speculator, 0, 0);
    proposer.answer = () => ({ tokens: [] });
    expect(speculator.propose(text, 10)).toEqual([]);
    expect(speculator.draft).toBeUndefined();
    expect(speculator.report()).toMatchObject({ cycles: 0, drafted: 0, meanAcceptanceLength: 1 });
  });

  test("estimates the speed-up over plain steps, from steps that were measured", () => {
    const costs = new StepCosts();
    for (let step = 0; step < 60; step += 1) {
      costs.observeStep(1, 10);
      costs.observeStep(5, 20);
    }
    const speculator = createSpeculator([new FakeProposer("ngram")], { costs });
    expect(speculator.report()).not.toHaveProperty("estimatedSpeedup");
    for (let step = 0; step < 30; step += 1) {
      void speculator.propose(text, 10);
      observe(speculator, 4, 4, step % 3 === 0 ? "unmeasured" : 20);
    }
    expect(speculator.report().estimatedSpeedup).toBeCloseTo((5 * 10) / 20, 1);
  });

  test("learns what draft tokens cost", () => {
    const costs = new StepCosts();
    const proposer = new FakeProposer("draft-model");
    proposer.answer = () => ({ tokens: [1, 2], ms: 6 });
    void createSpeculator([proposer], { costs }).propose(text, 10);
    expect(costs.draftMs).toBe(3);
  });
});

describe("Speculator with a proposer that fails", () => {
  test("goes on with the others and does not ask it again", async () => {
    const model = new FakeProposer("draft-model");
    const ngram = new FakeProposer("ngram");
    model.answer = async () => Promise.reject(new Error("expected pages but received none"));
    const speculator = createSpeculator([model, ngram]);
    expect(await speculator.propose(text, 10)).toEqual([]);
    expect(speculator.draft).toBeUndefined();
    observe(speculator, 0, 0);
    expect(speculator.propose(text, 10)).toEqual([7, 7, 7, 7]);
    expect([model.requests.length, model.looks]).toEqual([1, 1]);
    expect(speculator.report()).not.toHaveProperty("disabledReason");
  });

  test("says why nobody drafts any more", async () => {
    const model = new FakeProposer("draft-model");
    model.answer = async () => Promise.reject(new Error("expected pages but received none"));
    const speculator = createSpeculator([model]);
    await speculator.propose(text, 10);
    expect(await speculator.propose(text, 10)).toEqual([]);
    expect(speculator.report().disabledReason).toBe("draft-model failed: expected pages but received none");
  });
});

describe("Speculator whose guesses do not pay", () => {
  test("stops drafting and says so, with what it measured", async () => {
    const costs = new StepCosts();
    const model = new FakeProposer("draft-model");
    model.answer = async ({ limit }) =>
      Promise.resolve({ tokens: Array.from({ length: limit }, () => 7), ms: limit });
    const speculator = createSpeculator([model], { costs, isFixed: false });
    const lengths: number[] = [];
    for (let step = 0; step < 40; step += 1) {
      const { length } = await speculator.propose(text, 10);
      lengths.push(length);
      observe(speculator, length, 0, 10 + length / 10);
    }
    expect(lengths[0]).toBe(0); // the plain step is measured first
    expect(lengths[1]).toBeGreaterThan(0);
    expect(lengths.slice(-20)).toEqual(Array.from({ length: 20 }, () => 0));
    expect(speculator.report().disabledReason).toMatch(
      /^not worth it now \(draft-model: \d+% of first guesses accepted at 1\.00 ms each; a step takes 1\d\.\d\d ms\)$/,
    );
  });

  test("gives no reason while nothing matched, or before anything was tried", () => {
    const ngram = new FakeProposer("ngram");
    ngram.prospect = undefined;
    const speculator = createSpeculator([ngram], { isFixed: false });
    for (let step = 0; step < 5; step += 1) {
      expect(speculator.propose(text, 10)).toEqual([]);
      observe(speculator, 0, 0);
    }
    expect(speculator.report()).not.toHaveProperty("disabledReason");
  });
});
