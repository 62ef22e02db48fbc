import type { RouteDecision, TierState } from "../../../lib/routing/decision.js";
import { chooseTier, defaultPolicySettings, type PolicyInput } from "../../../lib/routing/policy.js";
import type { HeldPressures, PressureKind } from "../../../lib/routing/pressure-levels.js";

/** A local tier that is loaded: 1000 tokens of prompt and 100 of answer take it 2 s, if not told otherwise. */
export function tier(name: string, over: Partial<TierState> = {}): TierState {
  return {
    name,
    kind: "local",
    isReady: true,
    isAvailable: true,
    loadSeconds: 0,
    prefillTokensPerSecond: 1000,
    decodeTokensPerSecond: 100,
    queueSeconds: 0,
    contextTokens: 4096,
    ...over,
  };
}

export function cold(loaded: TierState, loadSeconds: number): TierState {
  return { ...loaded, isReady: false, loadSeconds };
}

export const calm: HeldPressures = {
  memory: { value: 0, tiersDown: 0 },
  heat: { value: 0, tiersDown: 0 },
  queue: { value: 0, tiersDown: 0 },
};

export function pressed(kind: PressureKind, tiersDown: number, value = 0.9): HeldPressures {
  return { ...calm, [kind]: { value, tiersDown } };
}

export const small = tier("small", { prefillTokensPerSecond: 4000, decodeTokensPerSecond: 400 }); // 0.5 s
export const medium = tier("medium"); // 2 s
export const large = tier("large", { prefillTokensPerSecond: 250, decodeTokensPerSecond: 25 }); // 8 s

/** Three loaded local tiers, thresholds 0.3 and 0.6, a sure classifier and no pressure, if not told otherwise. */
export function decide(score: number, over: Partial<PolicyInput> = {}): RouteDecision {
  return chooseTier({
    complexity: { score, confidence: 0.9, probabilities: [1 - score, 0, score] },
    thresholds: [0.3, 0.6],
    tiers: [small, medium, large],
    pressure: calm,
    hints: {},
    promptTokens: 1000,
    expectedTokens: 100,
    settings: defaultPolicySettings,
    ...over,
  });
}
