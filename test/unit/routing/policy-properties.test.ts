import { describe, expect, test } from "vitest";

import { AirError } from "../../../lib/errors/air-error.js";
import type { RouteDecision, RouteHints, TierState } from "../../../lib/routing/decision.js";
import { chooseTier, type PolicyInput } from "../../../lib/routing/policy.js";
import {
  defaultLadders,
  type HeldPressures,
  type PressureKind,
  pressureKinds,
  settledPressures,
} from "../../../lib/routing/pressure-levels.js";
import { at } from "../../../lib/util/array-access.js";
import { uniform } from "../../../lib/util/rng.js";

const cases = 10_000;

/** Random choices of one case; a case is reproduced by its number. */
class Draws {
  #position = 0;
  constructor(readonly seed: number) {}
  unit(): number {
    return uniform(this.seed, this.#position++, "sample");
  }
  chance(probability: number): boolean {
    return this.unit() < probability;
  }
  integer(below: number): number {
    return Math.floor(this.unit() * below);
  }
  /** Spread evenly over orders of magnitude. */
  scaled(least: number, most: number): number {
    return least * (most / least) ** this.unit();
  }
}

function randomTier(draws: Draws, index: number): TierState {
  const isRemote = draws.chance(0.25);
  const isReady = draws.chance(0.5);
  return {
    name: `tier${index}`,
    kind: isRemote ? "remote" : "local",
    isReady,
    isAvailable: draws.chance(0.8),
    loadSeconds: isReady ? 0 : draws.scaled(0.1, 60),
    // Larger is not always slower: remote tiers, and rates measured under load.
    prefillTokensPerSecond: draws.chance(0.03) ? 0 : draws.scaled(10, 10_000),
    decodeTokensPerSecond: draws.chance(0.03) ? 0 : draws.scaled(1, 500),
    queueSeconds: draws.chance(0.5) ? 0 : draws.scaled(0.1, 60),
    contextTokens: draws.chance(0.3) ? 1024 : 8192,
  };
}

function randomHints(draws: Draws, tiers: readonly TierState[]): RouteHints {
  const smallest = draws.integer(tiers.length);
  const largest = smallest + draws.integer(tiers.length - smallest);
  return {
    minTier: draws.chance(0.25) ? at(tiers, smallest).name : undefined,
    maxTier: draws.chance(0.25) ? at(tiers, largest).name : undefined,
    deadlineMs: draws.chance(0.4) ? draws.scaled(10, 100_000) : undefined,
    localOnly: draws.chance(0.2),
  };
}

function randomPressure(draws: Draws): Record<PressureKind, number> {
  const value = (): number => (draws.chance(0.4) ? 0 : draws.unit());
  return { memory: value(), heat: value(), queue: value() };
}

/** An input without pressure, and the draws to go on with. */
function randomInput(seed: number): { readonly draws: Draws; readonly input: PolicyInput } {
  const draws = new Draws(seed);
  const tiers = Array.from({ length: 1 + draws.integer(5) }, (_, index) => randomTier(draws, index));
  const thresholds = tiers
    .slice(1)
    .map(() => draws.unit())
    .sort((a, b) => a - b);
  const confidence = 1 / 3 + (2 / 3) * draws.unit();
  const input: PolicyInput = {
    complexity: { score: draws.unit(), confidence, probabilities: [confidence, 1 - confidence, 0] },
    thresholds,
    tiers,
    pressure: settledPressures({ memory: 0, heat: 0, queue: 0 }),
    hints: randomHints(draws, tiers),
    promptTokens: draws.chance(0.2) ? 2000 : draws.integer(500),
    expectedTokens: draws.integer(500),
    settings: {
      lowConfidence: draws.chance(0.5) ? 0.5 : 1,
      closeScore: draws.chance(0.5) ? 0.05 : 0.4,
      requestsPerLoad: 1 + draws.integer(4),
    },
  };
  return { draws, input };
}

/** The decision, or undefined when no tier can take the request. */
function decisionOf(input: PolicyInput): RouteDecision | undefined {
  try {
    return chooseTier(input);
  } catch (error) {
    if (error instanceof AirError && error.code === "AIR_ERR_NO_TIER") return undefined;
    throw error;
  }
}

function canTake({ hints, promptTokens, expectedTokens }: PolicyInput, tier: TierState): boolean {
  return (
    tier.isAvailable &&
    !(hints.localOnly === true && tier.kind === "remote") &&
    promptTokens + expectedTokens <= tier.contextTokens
  );
}

describe("chooseTier, whatever comes", () => {
  test("never picks a larger tier when a part of the pressure rises", () => {
    let lowered = 0;
    for (let seed = 0; seed < cases; seed += 1) {
      const { draws, input } = randomInput(seed);
      const low = randomPressure(draws);
      const kind = at(pressureKinds, draws.integer(3));
      const high = { ...low, [kind]: low[kind] + (1 - low[kind]) * draws.unit() };
      const before = decisionOf({ ...input, pressure: settledPressures(low) });
      const after = decisionOf({ ...input, pressure: settledPressures(high) });
      expect(after === undefined, `case ${seed}`).toBe(before === undefined);
      if (before === undefined || after === undefined) continue;
      expect(after.tier, `case ${seed}`).toBeLessThanOrEqual(before.tier);
      if (after.tier < before.tier) lowered += 1;
    }
    expect(lowered).toBeGreaterThan(cases / 50); // the cases do reach what they are about
  });

  test("never picks a larger tier when any part closes more tiers, at any depth", () => {
    for (let seed = 0; seed < cases; seed += 1) {
      const { draws, input } = randomInput(seed);
      const depths = (): number => draws.integer(4);
      const low: HeldPressures = {
        memory: { value: 0.5, tiersDown: depths() },
        heat: { value: 0.5, tiersDown: depths() },
        queue: { value: 0.5, tiersDown: depths() },
      };
      const kind = at(pressureKinds, draws.integer(3));
      const high = { ...low, [kind]: { value: 0.6, tiersDown: low[kind].tiersDown + 1 + depths() } };
      const before = decisionOf({ ...input, pressure: low });
      const after = decisionOf({ ...input, pressure: high });
      if (before !== undefined) expect(after?.tier, `case ${seed}`).toBeLessThanOrEqual(before.tier);
    }
  });

  test("obeys every pin, or answers from no tier at all", () => {
    let refused = 0;
    for (let seed = 0; seed < cases; seed += 1) {
      const { draws, input } = randomInput(seed);
      const named = at(input.tiers, draws.integer(input.tiers.length));
      const { deadlineMs, localOnly } = input.hints;
      const pinned = {
        ...input,
        hints: { tier: named.name, deadlineMs, localOnly },
        pressure: settledPressures(randomPressure(draws)),
      };
      const decision = decisionOf(pinned);
      if (decision === undefined) refused += 1;
      else expect(decision, `case ${seed}`).toMatchObject({ name: named.name, reason: "pinned" });
      expect(decision !== undefined, `case ${seed}`).toBe(canTake(pinned, named));
    }
    expect(refused).toBeGreaterThan(cases / 20);
    expect(refused).toBeLessThan(cases / 2);
  });

  test("picks a tier that can take it, within bounds, whenever there is one", () => {
    let refused = 0;
    for (let seed = 0; seed < cases; seed += 1) {
      const { draws, input: calmInput } = randomInput(seed);
      const input = { ...calmInput, pressure: settledPressures(randomPressure(draws)) };
      const indexOf = (name: string | undefined, otherwise: number): number =>
        name === undefined ? otherwise : input.tiers.findIndex((tier) => tier.name === name);
      const smallest = indexOf(input.hints.minTier, 0);
      const largest = indexOf(input.hints.maxTier, input.tiers.length - 1);
      const able = input.tiers.filter(
        (tier, index) => index >= smallest && index <= largest && canTake(input, tier),
      );
      const decision = decisionOf(input);
      expect(decision !== undefined, `case ${seed}`).toBe(able.length > 0);
      if (decision === undefined) refused += 1;
      else expect(able, `case ${seed}`).toContain(input.tiers[decision.tier]);
    }
    expect(refused).toBeGreaterThan(cases / 50);
  });

  test("does not send text to a larger remote tier because a local one is closed", () => {
    let kept = 0;
    for (let seed = 0; seed < cases; seed += 1) {
      const { draws, input: random } = randomInput(seed);
      const { deadlineMs, localOnly } = random.hints;
      const input = { ...random, hints: { deadlineMs, localOnly } };
      const before = decisionOf(input);
      const after = decisionOf({ ...input, pressure: settledPressures(randomPressure(draws)) });
      if (before === undefined || after === undefined || after.tier === before.tier) continue;
      const { wanted } = before;
      if (!canTake(input, at(input.tiers, wanted))) continue;
      kept += 1;
      const isDoubtful = input.complexity.confidence < input.settings.lowConfidence;
      if (at(input.tiers, after.tier).kind === "remote" && !isDoubtful)
        expect(after.tier, `case ${seed}`).toBeLessThanOrEqual(wanted);
    }
    expect(kept).toBeGreaterThan(cases / 50);
  });

  test("gives the same decision for the same input, which it does not change", () => {
    const freeze = <Value>(value: Value): Value => {
      if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
        Object.freeze(value);
        Object.values(value).forEach(freeze);
      }
      return value;
    };
    for (let seed = 0; seed < 2000; seed += 1) {
      const { draws, input } = randomInput(seed);
      const pressure = settledPressures(randomPressure(draws));
      const first = decisionOf(freeze({ ...input, pressure }));
      expect(decisionOf(structuredClone({ ...input, pressure })), `case ${seed}`).toEqual(first);
    }
  });

  test("gives a reason that fits: no change without one, no pressure where there is none", () => {
    for (let seed = 0; seed < cases; seed += 1) {
      const { draws, input } = randomInput(seed);
      const pressure = settledPressures(randomPressure(draws));
      const decision = decisionOf({ ...input, pressure });
      if (decision === undefined) continue;
      const { reason, detail, tier, wanted } = decision;
      if (reason === "memory" || reason === "heat" || reason === "queue")
        expect(pressure[reason].tiersDown, `case ${seed}`).toBeGreaterThan(0);
      if (reason === "score" && tier !== wanted) expect(tier, `case ${seed}`).toBe(wanted + 1); // in doubt
      expect(detail, `case ${seed}`).toMatch(/^Score \d\.\d\d asks for tier\d.*: tier\d answers in .*\.$/);
    }
  });
});

describe("settledPressures", () => {
  test("never asks for less when the pressure rises, with ladders that ascend", () => {
    for (const kind of pressureKinds) {
      const ladder = defaultLadders[kind].limits;
      for (const [index, step] of ladder.entries()) {
        const before = ladder[index - 1];
        expect(step.down).toBeLessThan(step.up);
        if (before === undefined) continue;
        expect(step.up).toBeGreaterThan(before.up);
        expect(step.down).toBeGreaterThan(before.down);
        expect(step.tiersDown).toBeGreaterThanOrEqual(before.tiersDown);
      }
      const depths = Array.from({ length: 101 }, (_, index) => index / 100).map(
        (value) => settledPressures({ memory: 0, heat: 0, queue: 0, [kind]: value })[kind].tiersDown,
      );
      expect(depths).toEqual([...depths].sort((a, b) => a - b));
      expect([depths[0], depths[100]]).toEqual([0, 2]);
    }
  });
});
