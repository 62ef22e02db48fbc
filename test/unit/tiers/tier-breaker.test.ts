import { describe, expect, test } from "vitest";

import { AirError } from "../../../lib/errors/air-error.js";
import { TierBreaker, tierBreakerSchema } from "../../../lib/tiers/tier-breaker.js";

function createBreaker(settings: object = {}) {
  const clock = { ms: 0 };
  const resolved = tierBreakerSchema.parse({ failures: 2, windowMs: 1000, openMs: 500, ...settings });
  return { clock, breaker: new TierBreaker("small", resolved, () => clock.ms) };
}

const broken = new AirError("AIR_ERR_IO", "expected a file but received nothing");

describe("TierBreaker", () => {
  test("opens after failures of the tier in a row, and tells what it was", () => {
    const { breaker, clock } = createBreaker();
    breaker.failed(breaker.enter(), broken);
    expect(breaker.state).toBe("closed");
    breaker.failed(breaker.enter(), broken);
    expect([breaker.state, breaker.isAdmitting]).toEqual(["open", false]);
    const refused = expect(() => breaker.enter());
    refused.toThrow(
      "expected answers from tier small but received failures, the last one: " +
        "expected a file but received nothing; it may be tried again in 1 s",
    );
    clock.ms = 500;
    const trial = breaker.enter();
    expect(breaker.isAdmitting).toBe(false);
    breaker.answered(trial);
    expect(breaker.state).toBe("closed");
  });

  test("has the code of the failure", () => {
    const { breaker } = createBreaker({ failures: 1 });
    breaker.failed(breaker.enter(), broken);
    expect(() => breaker.enter()).toThrow(expect.objectContaining({ code: "AIR_ERR_IO", cause: broken }));
  });

  test.each([
    "AIR_ERR_ARGUMENT",
    "AIR_ERR_CONTEXT",
    "AIR_ERR_TIMEOUT",
    "AIR_ERR_CANCELLED",
    "AIR_ERR_MEMORY",
  ] as const)("does not count %s, which is no fault of the tier", (code) => {
    const { breaker } = createBreaker({ failures: 1 });
    breaker.failed(breaker.enter(), new AirError(code, "expected this but received that"));
    expect(breaker.state).toBe("closed");
  });

  test("counts first tokens that come too late, where there is a limit", () => {
    const { breaker } = createBreaker({ failures: 1, slowMs: 100 });
    breaker.answered(breaker.enter(), 100);
    expect(breaker.state).toBe("closed");
    breaker.answered(breaker.enter(), 101);
    expect(() => breaker.enter()).toThrow(expect.objectContaining({ code: "AIR_ERR_OVERLOADED" }));
    const unlimited = createBreaker({ failures: 1 }).breaker;
    unlimited.answered(unlimited.enter(), 1e9);
    expect(unlimited.state).toBe("closed");
  });

  test("lets one request try when the model was loaded anew", () => {
    const { breaker } = createBreaker({ failures: 1 });
    breaker.failed(breaker.enter(), broken);
    breaker.allowTrial();
    expect(breaker.state).toBe("half-open");
    breaker.answered(breaker.enter());
    expect(breaker.state).toBe("closed");
  });
});
