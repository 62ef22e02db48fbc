import { describe, expect, test } from "vitest";

import { type BreakerPass, CircuitBreaker } from "../../../lib/tiers/circuit-breaker.js";

function makeBreaker() {
  let time = 0;
  const breaker = new CircuitBreaker({ failures: 3, windowMs: 1000, openMs: 500 }, () => time);
  const enter = (): BreakerPass => {
    const pass = breaker.enter();
    if (pass === undefined) throw new Error("the breaker lets nothing through");
    return pass;
  };
  const fail = (times: number): void => {
    for (let count = 0; count < times; count += 1) enter().failed();
  };
  return {
    breaker,
    enter,
    fail,
    wait: (milliseconds: number) => {
      time += milliseconds;
    },
  };
}

describe("a circuit breaker", () => {
  test("opens at the given number of failures, and not before", () => {
    const { breaker, fail } = makeBreaker();
    fail(2);
    expect(breaker).toMatchObject({ state: "closed", failures: 2, isAdmitting: true });
    fail(1);
    expect(breaker).toMatchObject({ state: "open", isAdmitting: false, retryInMs: 500, timesOpened: 1 });
    expect(breaker.enter()).toBeUndefined();
  });

  test("forgets failures after the window", () => {
    const { breaker, fail, wait } = makeBreaker();
    fail(2);
    wait(1000);
    expect(breaker.failures).toBe(0);
    fail(2);
    expect(breaker.state).toBe("closed");
  });

  test("forgets failures at a whole answer, but not at one that only begins", () => {
    const { breaker, enter, fail } = makeBreaker();
    fail(2);
    enter().completed();
    fail(2);
    enter().answered();
    fail(1);
    expect(breaker.state).toBe("open");
  });

  test("opens for an endpoint that begins every answer and cuts it off", () => {
    const { breaker, enter } = makeBreaker();
    for (let count = 0; count < 3; count += 1) {
      const pass = enter();
      pass.answered();
      pass.failed();
    }
    expect(breaker.state).toBe("open");
  });

  test("lets one request try after openMs, and none beside it", () => {
    const { breaker, enter, fail, wait } = makeBreaker();
    fail(3);
    wait(499);
    expect(breaker.enter()).toBeUndefined();
    wait(1);
    expect(breaker).toMatchObject({ state: "half-open", isAdmitting: true });
    const trial = enter();
    expect(breaker).toMatchObject({ state: "half-open", isAdmitting: false });
    expect(breaker.enter()).toBeUndefined();
    trial.answered();
    expect(breaker).toMatchObject({ state: "closed", isAdmitting: true });
  });

  test("opens again for as long when the trial fails", () => {
    const { breaker, enter, fail, wait } = makeBreaker();
    fail(3);
    wait(600);
    enter().failed();
    expect(breaker).toMatchObject({ state: "open", retryInMs: 500, timesOpened: 2 });
  });

  test("is on probation until the first whole answer", () => {
    const { breaker, enter, fail, wait } = makeBreaker();
    fail(3);
    wait(500);
    enter().answered();
    fail(1);
    expect(breaker.state).toBe("open");
    wait(500);
    enter().completed();
    fail(2);
    expect(breaker.state).toBe("closed");
  });

  test("lets another request try when the trial is given up", () => {
    const { breaker, enter, fail, wait } = makeBreaker();
    fail(3);
    wait(500);
    enter().released();
    expect(breaker.isAdmitting).toBe(true);
    enter().completed();
    expect(breaker.state).toBe("closed");
  });

  test("heeds nothing that began before it opened", () => {
    const { breaker, enter, fail, wait } = makeBreaker();
    const [old, older] = [enter(), enter()];
    fail(3);
    old.answered();
    old.completed();
    expect(breaker.state).toBe("open");
    wait(500);
    older.failed();
    expect(breaker).toMatchObject({ state: "half-open", timesOpened: 1 });
  });

  test("counts a request once", () => {
    const { breaker, enter } = makeBreaker();
    const pass = enter();
    for (let count = 0; count < 5; count += 1) pass.failed();
    pass.completed();
    expect(breaker.failures).toBe(1);
  });

  test("lets a request try at once when something else shows that the endpoint is there", () => {
    const { breaker, fail } = makeBreaker();
    breaker.allowTrial();
    expect(breaker.state).toBe("closed");
    fail(3);
    breaker.allowTrial();
    expect(breaker).toMatchObject({ state: "half-open", isAdmitting: true, retryInMs: 0 });
  });
});
