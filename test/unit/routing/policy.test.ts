import { describe, expect, test } from "vitest";

import { AirError } from "../../../lib/errors/air-error.js";
import { defaultPolicySettings } from "../../../lib/routing/policy.js";
import { calm, cold, decide, large, medium, pressed, small, tier } from "./policy-cases.js";

const remote = tier("cloud", { kind: "remote", contextTokens: 100_000 });

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof AirError) return `${error.code}: ${error.message}`;
  }
  return "no AirError";
}

describe("chooseTier by score", () => {
  test("takes the smallest tier that the thresholds ask for; a threshold belongs to the larger", () => {
    expect([0, 0.29, 0.3, 0.59, 0.6, 1].map((score) => decide(score).tier)).toEqual([0, 0, 1, 1, 2, 2]);
    expect(decide(0.3)).toEqual({
      tier: 1,
      name: "medium",
      wanted: 1,
      reason: "score",
      detail: "Score 0.30 asks for medium: medium answers in 2.0 s.",
      score: 0.3,
      confidence: 0.9,
      predictedMs: 2000,
    });
  });

  test("takes the larger of two when the score is close below it and the classifier is in doubt", () => {
    const unsure = (score: number): number =>
      decide(score, { complexity: { score, confidence: 0.4, probabilities: [0.4, 0.3, 0.3] } }).tier;
    expect([0.2, 0.24, 0.26, 0.5, 0.56].map(unsure)).toEqual([0, 0, 1, 1, 2]);
    const complexity = { score: 0.28, confidence: 0.4, probabilities: [0.4, 0.3, 0.3] };
    const raised = decide(0.28, { complexity });
    expect(raised).toMatchObject({ tier: 1, wanted: 0, reason: "score" });
    expect(raised.detail).toContain("confidence of 0.40 is too low");
    // Not under pressure, whichever part of it, even one that closes only tiers that nobody asked for.
    for (const kind of ["memory", "heat", "queue"] as const)
      expect(decide(0.28, { complexity, pressure: pressed(kind, 1) }).tier).toBe(0);
    expect(decide(0.28).tier).toBe(0);
  });

  test("works with a single tier", () => {
    const input = { tiers: [medium], thresholds: [], pressure: pressed("heat", 2) };
    expect(decide(1, input)).toMatchObject({ tier: 0, wanted: 0, reason: "score" });
  });
});

describe("chooseTier with hints", () => {
  test("obeys a pin against score, pressure, deadline and residency", () => {
    const decision = decide(0, {
      tiers: [small, medium, cold(large, 60)],
      hints: { tier: "large", deadlineMs: 1 },
      pressure: pressed("memory", 2),
    });
    expect(decision).toMatchObject({ tier: 2, wanted: 0, reason: "pinned", predictedMs: 68_000 });
    expect(decision.detail).toBe(
      "Score 0.00 asks for small, but the request names large: large answers in 68 s.",
    );
  });

  test("never answers from another tier than the pinned one", () => {
    const tiers = [small, medium, { ...large, isAvailable: false }, remote];
    const thresholds = [0.3, 0.6, 0.9];
    const pin = (name: string, over = {}): string =>
      codeOf(() => decide(0.5, { tiers, thresholds, hints: { tier: name, localOnly: true }, ...over }));
    expect(pin("large")).toBe(
      "AIR_ERR_NO_TIER: expected a tier that can take it for the request but received none: " +
        "large cannot be used now",
    );
    expect(pin("cloud")).toContain("cloud is remote and the request stays on this machine");
    expect(pin("small", { promptTokens: 5000 })).toContain(
      "AIR_ERR_NO_TIER: expected a tier that can take it for the request but received none: " +
        "small holds 4096 tokens and the request needs 5100",
    );
  });

  test("keeps to the smallest and the largest tier allowed", () => {
    expect(decide(0.1, { hints: { minTier: "medium" } })).toMatchObject({ tier: 1, reason: "minimum" });
    expect(decide(0.9, { hints: { maxTier: "medium" } })).toMatchObject({ tier: 1, reason: "maximum" });
    expect(decide(0.5, { hints: { minTier: "small", maxTier: "large" } })).toMatchObject({ reason: "score" });
    expect(decide(0.9, { hints: { minTier: "medium" }, pressure: pressed("heat", 2) })).toMatchObject({
      tier: 1,
      reason: "heat",
    });
    expect(codeOf(() => decide(0.9, { tiers: [small, remote, large], hints: { minTier: "cloud", maxTier: "cloud", localOnly: true } }))) // prettier-ignore
      .toContain("AIR_ERR_NO_TIER");
  });

  test("rejects names that no tier has and hints that contradict each other", () => {
    const refusals = [
      { tier: "huge" },
      { minTier: "huge" },
      { maxTier: "" },
      { minTier: "large", maxTier: "small" },
      { tier: "small", minTier: "medium" },
    ].map((hints) => codeOf(() => decide(0.5, { hints })));
    expect(refusals).toEqual([
      'AIR_ERR_ARGUMENT: expected one of small, medium, large for tier but received "huge"',
      'AIR_ERR_ARGUMENT: expected one of small, medium, large for minTier but received "huge"',
      'AIR_ERR_ARGUMENT: expected one of small, medium, large for maxTier but received ""',
      'AIR_ERR_ARGUMENT: expected a tier not smaller than minTier large for maxTier but received "small"',
      "AIR_ERR_ARGUMENT: expected a tier from medium to large, as minTier and maxTier say, for tier " +
        'but received "small"',
    ]);
  });

  test("rejects thresholds, scores and deadlines that mean nothing", () => {
    for (const over of [
      { thresholds: [0.5] },
      { thresholds: [0.6, 0.3] },
      { thresholds: [0.3, Number.NaN] },
      { tiers: [], thresholds: [] },
      { hints: { deadlineMs: Number.NaN } },
      { settings: { ...defaultPolicySettings, requestsPerLoad: 0 } },
    ])
      expect(codeOf(() => decide(0.5, over))).toContain("AIR_ERR_ARGUMENT");
    expect(codeOf(() => decide(Number.NaN))).toContain("AIR_ERR_ARGUMENT");
    expect(codeOf(() => decide(1.5))).toContain("AIR_ERR_ARGUMENT");
  });
});

describe("chooseTier with what tiers can take", () => {
  test("moves to a larger tier when the wanted one cannot take it, and to a smaller one when none is larger", () => {
    const broken = { ...medium, isAvailable: false };
    expect(decide(0.5, { tiers: [small, broken, large] })).toMatchObject({ tier: 2, reason: "unavailable" });
    expect(decide(0.9, { tiers: [small, medium, { ...large, isAvailable: false }] })).toMatchObject({
      tier: 1,
      wanted: 2,
      reason: "unavailable",
    });
    const long = { promptTokens: 5000, tiers: [small, medium, { ...large, contextTokens: 8192 }] };
    expect(decide(0.1, long)).toMatchObject({ tier: 2, reason: "context" });
  });

  test("counts the answer to the context", () => {
    expect(decide(0.1, { promptTokens: 3996 }).tier).toBe(0);
    expect(codeOf(() => decide(0.1, { promptTokens: 3997 }))).toContain("AIR_ERR_NO_TIER");
  });

  test("keeps what may not leave the machine on it", () => {
    const tiers = [small, medium, remote];
    expect(decide(0.9, { tiers }).name).toBe("cloud");
    expect(decide(0.9, { tiers, hints: { localOnly: true } })).toMatchObject({
      tier: 1,
      reason: "local-only",
    });
  });

  test("names every refusal when no tier is left", () => {
    const tiers = [{ ...small, isAvailable: false }, { ...medium, contextTokens: 512 }, remote];
    expect(codeOf(() => decide(0.5, { tiers, hints: { localOnly: true } }))).toBe(
      "AIR_ERR_NO_TIER: expected a tier that can take it for the request but received none: " +
        "small cannot be used now; medium holds 512 tokens and the request needs 1100; " +
        "cloud is remote and the request stays on this machine",
    );
  });
});

describe("chooseTier and what is loaded", () => {
  test("lets a larger loaded tier answer when loading the wanted one takes longer", () => {
    const slowLoad = decide(0.1, { tiers: [cold(small, 3), medium, large] }); // 3.5 s against 2 s
    expect(slowLoad).toMatchObject({ tier: 1, wanted: 0, reason: "resident", predictedMs: 2000 });
    expect(slowLoad.detail).toContain("small would load for 3.0 s and answer after 3.5 s");
    const quickLoad = decide(0.1, { tiers: [cold(small, 1), medium, large] }); // 1.5 s against 2 s
    expect(quickLoad).toMatchObject({ tier: 0, reason: "score", predictedMs: 1500 });
  });

  test("loads when enough requests share the cost", () => {
    const tiers = [cold(small, 3), medium, large]; // 3 / 4 + 0.5 s against 2 s
    const settings = { ...defaultPolicySettings, requestsPerLoad: 4 };
    expect(decide(0.1, { tiers, settings }).tier).toBe(0);
  });

  test("counts the queue of the tier that is loaded", () => {
    const tiers = [cold(small, 3), { ...medium, queueSeconds: 2 }, large];
    expect(decide(0.1, { tiers })).toMatchObject({ tier: 0, reason: "score" });
  });

  test("does not give a hard request to a small tier because it is loaded", () => {
    expect(decide(0.9, { tiers: [small, medium, cold(large, 100)] })).toMatchObject({
      tier: 2,
      reason: "score",
      predictedMs: 108_000,
    });
  });

  test("does not send text away to spare a load", () => {
    expect(decide(0.1, { tiers: [cold(small, 50), cold(medium, 60), remote] }).tier).toBe(0);
  });

  test("does not go beyond the largest tier allowed", () => {
    const tiers = [cold(small, 3), medium, large];
    expect(decide(0.1, { tiers, hints: { maxTier: "small" } }).tier).toBe(0);
  });
});

describe("chooseTier and deadlines", () => {
  test("takes the largest tier up to the wanted one that is in time", () => {
    expect(decide(0.9, { hints: { deadlineMs: 8000 } })).toMatchObject({ tier: 2, reason: "score" });
    const decision = decide(0.9, { hints: { deadlineMs: 7000 } });
    expect(decision).toMatchObject({ tier: 1, wanted: 2, reason: "deadline", predictedMs: 2000 });
    expect(decision.detail).toBe(
      "Score 0.90 asks for large, but large would take 8.0 s and 7.0 s are allowed: medium answers in 2.0 s.",
    );
  });

  test("else takes a larger one that is in time", () => {
    const tiers = [tier("small", { queueSeconds: 9 }), medium, large];
    expect(decide(0.1, { tiers, hints: { deadlineMs: 2500 } })).toMatchObject({
      tier: 1,
      reason: "deadline",
    });
  });

  test("else takes the fastest, and says so when that is the wanted one", () => {
    expect(decide(0.9, { hints: { deadlineMs: 100 } })).toMatchObject({ tier: 0, reason: "deadline" });
    const decision = decide(0.1, { hints: { deadlineMs: 0 } });
    expect(decision).toMatchObject({ tier: 0, reason: "deadline" });
    expect(decision.detail).toContain(
      "asks for small, and small would take 0.5 s and 0.0 s are allowed, and no",
    );
  });

  test("counts loading", () => {
    const tiers = [small, cold(medium, 10), cold(large, 10)];
    expect(decide(0.5, { tiers, hints: { deadlineMs: 5000 } })).toMatchObject({
      tier: 0,
      reason: "deadline",
    });
  });

  test("does not go below the smallest tier allowed", () => {
    expect(decide(0.9, { hints: { deadlineMs: 1, minTier: "medium" } }).tier).toBe(1);
  });
});

describe("chooseTier under pressure", () => {
  test("closes the largest local tiers, as many as the strongest part asks for", () => {
    const scores = [0.1, 0.5, 0.9];
    const at = (tiersDown: number): readonly number[] =>
      scores.map((score) => decide(score, { pressure: pressed("memory", tiersDown) }).tier);
    expect([at(0), at(1), at(2), at(9)]).toEqual([
      [0, 1, 2],
      [0, 1, 1],
      [0, 0, 0],
      [0, 0, 0],
    ]);
    const pressure = { ...pressed("queue", 1), heat: { value: 1, tiersDown: 2 } };
    expect(decide(0.9, { pressure })).toMatchObject({ tier: 0, reason: "heat" });
  });

  test("says which part it was and how strong", () => {
    const detail = (kind: "memory" | "heat" | "queue"): string =>
      decide(0.9, { pressure: pressed(kind, 1, 0.934) }).detail;
    expect(detail("memory")).toBe(
      "Score 0.90 asks for large, but memory is 93% taken: medium answers in 2.0 s.",
    );
    expect(detail("heat")).toContain("heat is at 93% of what the machine bears");
    expect(detail("queue")).toContain("the queue is 93% full");
  });

  test("leaves remote tiers open, and does not go up to one", () => {
    const tiers = [small, medium, remote];
    const pressure = pressed("memory", 2);
    expect(decide(0.9, { tiers, pressure })).toMatchObject({ name: "cloud", reason: "score" });
    expect(decide(0.5, { tiers, pressure })).toMatchObject({ name: "small", reason: "memory" });
  });

  test("counts only local tiers that can be used", () => {
    const tiers = [small, medium, { ...large, isAvailable: false }];
    expect(decide(0.5, { tiers, pressure: pressed("memory", 1) })).toMatchObject({ name: "small" });
  });

  test("degrades rather than fails: when all that can take it are closed, the smallest of them does", () => {
    const short = { ...small, contextTokens: 512 };
    const tiers = [short, medium, large];
    expect(decide(0.9, { tiers, pressure: pressed("heat", 2) })).toMatchObject({ tier: 1, reason: "heat" });
    expect(decide(0.5, { tiers, pressure: pressed("heat", 2) })).toMatchObject({ tier: 1, reason: "score" });
  });

  test("prefers a smaller loaded tier to loading one for longer than it works", () => {
    const pressure = pressed("heat", 1);
    expect(decide(0.9, { tiers: [small, cold(medium, 3), large], pressure }).name).toBe("small");
    expect(decide(0.9, { tiers: [small, cold(medium, 1), large], pressure }).name).toBe("medium");
    expect(decide(0.9, { tiers: [cold(small, 3), cold(medium, 3), large], pressure }).name).toBe("medium");
  });

  test("keeps the deadline in mind on the way down", () => {
    const tiers = [small, tier("medium", { queueSeconds: 20 }), large];
    const hints = { deadlineMs: 10_000 };
    expect(decide(0.9, { tiers, hints, pressure: pressed("queue", 1) }).name).toBe("small");
    const late = [tier("small", { queueSeconds: 60 }), tier("medium", { queueSeconds: 20 }), large];
    expect(decide(0.9, { tiers: late, hints, pressure: pressed("queue", 1) }).name).toBe("medium");
  });

  test("is without effect when nothing is closed", () => {
    expect(decide(0.9, { pressure: { ...calm, heat: { value: 0.5, tiersDown: 0 } } }).reason).toBe("score");
  });
});
