import { describe, expect, test } from "vitest";

import {
  acceptOrRecover,
  type AcceptanceRule,
  createChooser,
  type RejectionStep,
  verify,
} from "../../../lib/decoding/acceptance.js";
import { DraftModelProposer } from "../../../lib/decoding/draft-model-proposer.js";
import { NgramProposer } from "../../../lib/decoding/ngram-proposer.js";
import type { TokenHistory } from "../../../lib/decoding/penalties.js";
import type { Proposer } from "../../../lib/decoding/proposer.js";
import { type Guess, Sampler, type SamplingOptions } from "../../../lib/decoding/sampler.js";
import { rngPurposes } from "../../../lib/util/rng.js";
import { ChiSquare, chiSquareSurvival } from "../../support/chi-square.js";
import { FakeRowOps } from "../../support/fake-row-ops.js";
import {
  distributionOf,
  draftLogits,
  plainSampling,
  targetLogits,
  ToyConstraint,
  toyVocabSize,
} from "../../support/toy-language.js";

const maths = new FakeRowOps();
const seed = 20260719;
const draftTokens = 2;
/** Each trial continues this text, repeated once more. The first two tokens are likely after the last one. */
const prompt = [17, 9, 5, 46, 32, 2, 11, 40];

type Chooser = ReturnType<typeof createChooser>;
type Sampling = SamplingOptions & { readonly constraint: ToyConstraint | undefined };

/** How a case drafts, samples and accepts. */
interface Case {
  readonly drafter: "draft model" | "n-gram";
  readonly rule: AcceptanceRule;
  readonly sampling?: Partial<SamplingOptions>;
  readonly isConstrained?: boolean;
  /** Chooses in the place of the rule. */
  readonly wrongly?: (sampler: Sampler) => Chooser;
}

/** Copies a table's row after a token into the buffer. */
function rowAfter(table: readonly Float32Array[], token: number | undefined, buffer: Float32Array) {
  buffer.set(table[token ?? -1] ?? expect.fail("no row"));
  return buffer;
}

/** The toy language's draft model as a proposer. */
function createDraftModel(options: Sampling, rule: AcceptanceRule): Proposer {
  const row = new Float32Array(toyVocabSize);
  const drawIndependently = (weights: Float32Array, position: number): Guess => {
    const token = maths.sampleRow(weights, undefined, seed, position, rngPurposes.draft);
    return { token, probability: weights[token] ?? 0 };
  };
  return new DraftModelProposer({
    text: {
      contextTokens: Infinity,
      missingTokens: () => 1,
      catchUp: () => expect.fail("nothing to catch up on"),
      draft: () => expect.fail("sampled drafts only"),
      sample: async (tokens, choose) => {
        let last: number | undefined = tokens[tokens.length - 1];
        while (last !== undefined) last = choose(rowAfter(draftLogits, last, row));
        return Promise.resolve();
      },
      cancel: () => undefined,
    },
    vocabSize: toyVocabSize,
    sampler: new Sampler(maths, toyVocabSize, options),
    constraint: options.constraint,
    isEnd: () => false,
    pick: rule === "coupled" ? undefined : drawIndependently,
    waits: true,
  });
}

/** Draws of both places of a draft, counted. */
interface Counts {
  readonly first: Uint32Array; // [64]
  readonly second: readonly Uint32Array[]; // [64, 64] by the accepted first token
}

async function countDraws({ drafter, rule, sampling, isConstrained, wrongly }: Case, trials: number) {
  const counts: Counts = {
    first: new Uint32Array(toyVocabSize),
    second: Array.from({ length: toyVocabSize }, () => new Uint32Array(toyVocabSize)),
  };
  const constraint = isConstrained === true ? new ToyConstraint() : undefined;
  const options = { ...plainSampling, ...sampling, penaltyLastN: prompt.length, seed, constraint };
  const proposer = drafter === "n-gram" ? new NgramProposer() : createDraftModel(options, rule);
  const sampler = new Sampler(maths, toyVocabSize, options);
  const choose = wrongly?.(sampler) ?? createChooser(rule, { sampler, maths, seed });
  const buffers = [0, 1, 2].map(() => new Float32Array(toyVocabSize));
  proposer.begin(prompt);
  for (let trial = 0; trial < trials; trial += 1) {
    const history: TokenHistory = {
      length: (trial + 2) * prompt.length,
      token: (index) => prompt[index % prompt.length] ?? -1,
    };
    proposer.look(history);
    const draft = await proposer.propose(history, { limit: draftTokens, minConfidence: 0 });
    const rows = buffers.map((buffer, index) =>
      rowAfter(targetLogits, index === 0 ? prompt.at(-1) : draft.tokens[index - 1], buffer),
    );
    const taken: number[] = [];
    verify(choose, { rows, draft, history }, ({ token }) => {
      constraint?.accept(token);
      return taken.push(token) < draftTokens;
    });
    constraint?.rollback(taken.length);
    const [one = -1, two = -1] = taken;
    const second = counts.second[one] ?? expect.fail("no token");
    counts.first[one] = (counts.first[one] ?? 0) + 1;
    if (two >= 0) second[two] = (second[two] ?? 0) + 1;
  }
  expect(constraint?.depth ?? 0).toBe(0);
  return counts;
}

/** Probabilities of draws at least as far off the target's distribution: of first tokens, and of second ones. */
async function pValuesOf(checked: Case, trials: number) {
  const counts = await countDraws(checked, trials);
  const options = { ...plainSampling, ...checked.sampling, penaltyLastN: prompt.length };
  const expected = (text: readonly number[], last: number): readonly number[] =>
    distributionOf(
      targetLogits[text.at(-1) ?? -1] ?? [],
      text,
      options,
      (token) => checked.isConstrained === true && ToyConstraint.forbids(token, last),
    );
  const first = new ChiSquare();
  first.add(counts.first, expected(prompt, 0));
  const second = new ChiSquare();
  for (const [token, draws] of counts.second.entries())
    second.add(draws, expected([...prompt, token], token));
  return { first: first.pValue, second: second.pValue };
}

const cuts = { temperature: 0.9, topK: 24, topP: 0.95 };
const penalties = { temperature: 1.2, topK: 32, minP: 0.02, repetitionPenalty: 1.2, presencePenalty: 0.3 };
const cases: readonly (readonly [string, Case])[] = [
  ["coupled, a draft model, cuts", { rule: "coupled", drafter: "draft model", sampling: cuts }],
  ["rejection, a draft model, penalties", { rule: "rejection", drafter: "draft model", sampling: penalties }],
  ["coupled, n-grams, penalties", { rule: "coupled", drafter: "n-gram", sampling: penalties }],
  ["rejection, n-grams, cuts", { rule: "rejection", drafter: "n-gram", sampling: cuts }],
  ["coupled, a draft model, a constraint", { rule: "coupled", drafter: "draft model", isConstrained: true }],
  [
    "rejection, a draft model, a constraint",
    { rule: "rejection", drafter: "draft model", isConstrained: true },
  ],
  [
    "rejection, n-grams, a constraint",
    { rule: "rejection", drafter: "n-gram", isConstrained: true, sampling: { minP: 0.01 } },
  ],
];

/** A chooser that takes the token of a draft's row by `take`. */
function choosing(take: (step: RejectionStep) => Guess): (sampler: Sampler) => Chooser {
  return (sampler) => (row, history, draft, index) => {
    const token = draft?.tokens[index] ?? expect.fail("expected a draft token for the row");
    return sampler.sample(row, history, (target, position) =>
      take({ target, draft: draft?.distributions?.[index], token, seed, position }),
    );
  };
}

/** Draws from p where the rule would draw from the residual. */
function recoverFromTarget(step: RejectionStep): Guess {
  const target = step.target.slice();
  const decided = acceptOrRecover(maths, { ...step, target: step.target });
  if (decided.token === step.token) return decided;
  const token = maths.sampleRow(target, undefined, seed, step.position, rngPurposes.residual);
  return { token, probability: target[token] ?? 0 };
}

/** Takes the draft token if a draw agrees with it, and else draws once more. */
function drawTwice({ target, token, position }: RejectionStep): Guess {
  const drawn = maths.sampleRow(target, undefined, seed, position, rngPurposes.sample);
  if (drawn === token) return { token, probability: target[token] ?? 0 };
  const again = maths.sampleRow(target, undefined, seed, position, rngPurposes.residual);
  return { token: again, probability: target[again] ?? 0 };
}

const acceptAlways = ({ token }: RejectionStep): Guess => ({ token, probability: 1 });

const rejection = { rule: "rejection", drafter: "draft model" } as const;
const wrongRules: readonly (readonly [string, Case])[] = [
  ["recovers from p, not from the residual", { ...rejection, wrongly: choosing(recoverFromTarget) }],
  ["leaves a certain draft in p", { ...rejection, drafter: "n-gram", wrongly: choosing(recoverFromTarget) }],
  ["accepts whatever was drafted", { ...rejection, wrongly: choosing(acceptAlways) }],
  ["draws again after a miss", { rule: "coupled", drafter: "n-gram", wrongly: choosing(drawTwice) }],
];

describe("accepted, recovered and bonus tokens have the target's distribution", () => {
  test.each(cases)("%s", { timeout: 60_000 }, async (_name, checked) => {
    const { first, second } = await pValuesOf(checked, 200_000);
    expect(first).toBeGreaterThan(0.001);
    expect(second).toBeGreaterThan(0.001);
  });

  test.each(wrongRules)("not with a rule that %s", { timeout: 20_000 }, async (_name, checked) => {
    const { first, second } = await pValuesOf(checked, 20_000);
    expect(first).toBeLessThan(1e-6);
    expect(second).toBeLessThan(1e-6);
  });

  test("as the critical values in the tables tell", () => {
    for (const [statistic, degrees, probability] of [
      [3.8415, 1, 0.05],
      [2.7055, 1, 0.1],
      [1, 2, Math.exp(-0.5)],
      [16.266, 3, 0.001],
      [103.442, 63, 0.001],
      [1143.917, 1000, 0.001],
      [30.0, 2, Math.exp(-15)],
    ] as const) {
      expect(chiSquareSurvival(statistic, degrees) / probability).toBeCloseTo(1, 2);
    }
  });
});
