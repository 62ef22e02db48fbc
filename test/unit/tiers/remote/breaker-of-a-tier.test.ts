import { describe, expect, test } from "vitest";

import type { RemoteTier } from "../../../../lib/tiers/remote/remote-tier.js";
import { delta, finish, refusal, streamHead } from "../../../support/openai-stub.js";
import { readAll, useStub } from "./tier-under-test.js";

const { stub, makeTier } = useStub();

/** A tier without retries, on a clock that stands still until it is told otherwise. */
function makeTierWithClock(retries = 0) {
  let time = 0;
  const breaker = { failures: 3, windowMs: 10_000, openMs: 1000 };
  const { tier } = makeTier({ retries, breaker }, { now: () => time });
  const fail = async (count: number): Promise<void> => {
    for (let round = 0; round < count; round += 1) await tier.start("Hi").result.catch(() => undefined);
  };
  return { tier, fail, wait: (milliseconds: number) => (time += milliseconds) };
}

const stateOf = (tier: RemoteTier): string => tier.stats().breaker.state;

describe("the circuit breaker of a tier", () => {
  test("opens, keeps requests away, tries again and heals", async () => {
    const { tier, fail, wait } = makeTierWithClock();
    stub().always(refusal(500));
    await fail(3);
    expect(tier.isReady).toBe(false);
    const { error } = await readAll(tier.start("Hi"));
    expect(error).toMatchObject({
      code: "AIR_ERR_REMOTE",
      mayFallBack: true,
      message:
        'expected a closed circuit breaker for the remote tier "cloud" but received one that is open for another 1 s',
    });
    expect(stub().requests).toHaveLength(3);

    wait(1000);
    expect(tier.isReady).toBe(true);
    await fail(1);
    expect(stub().requests).toHaveLength(4);
    expect(tier.stats().breaker).toEqual({ state: "open", failures: 3, timesOpened: 2, retryInMs: 1000 });

    wait(1000);
    stub().script([streamHead, delta("back"), finish(), "end"]);
    expect(await tier.start("Hi").result).toMatchObject({ text: "back" });
    expect(tier.stats().breaker).toEqual({ state: "closed", failures: 0, timesOpened: 2, retryInMs: 0 });
    await fail(2);
    expect(stateOf(tier)).toBe("closed");
  });

  test("lets one request try, and others through as soon as its answer begins", async () => {
    const { tier, fail, wait } = makeTierWithClock();
    stub().always(refusal(500));
    await fail(3);
    wait(1000);
    stub().always([streamHead, { wait: 30 }, delta("a"), "hang"]);
    const trial = tier.start("Hi");
    expect(tier.isReady).toBe(false);
    await expect(tier.start("Hi").result).rejects.toMatchObject({
      message: expect.stringContaining("tried out"),
    });
    const reader = trial[Symbol.asyncIterator]();
    await reader.next();
    expect(tier.isReady).toBe(true);
    await reader.return?.();
  });

  test("a trial that its caller gives up leaves the trial to the next", async () => {
    const { tier, fail, wait } = makeTierWithClock();
    stub().always(refusal(500));
    await fail(3);
    wait(1000);
    stub().script(["hang"]);
    const controller = new AbortController();
    const { result } = tier.start("Hi", { signal: controller.signal });
    controller.abort();
    await expect(result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    expect(tier.isReady).toBe(true);
    expect(stateOf(tier)).toBe("half-open");
  });

  test("opens for an endpoint that cuts every answer off", async () => {
    const { tier, fail } = makeTierWithClock();
    stub().always([streamHead, delta("a"), "cut"]);
    await fail(3);
    expect(stateOf(tier)).toBe("open");
  });

  test("counts attempts, and ends the retries when it opens", async () => {
    const { tier } = makeTierWithClock(10);
    stub().always(refusal(500));
    await expect(tier.start("Hi").result).rejects.toMatchObject({ failure: { status: 500 } });
    expect(stub().requests).toHaveLength(3);
    expect(stateOf(tier)).toBe("open");
  });

  test.each([
    [400, "closed"],
    [422, "closed"],
    [401, "open"],
    [404, "open"],
  ])("HTTP %i, three times, leaves it %s", async (status, state) => {
    const { tier, fail } = makeTierWithClock();
    stub().always(refusal(status));
    await fail(3);
    expect(stateOf(tier)).toBe(state);
  });

  test("a refusal of one request shows that the endpoint is back", async () => {
    const { tier, fail, wait } = makeTierWithClock();
    stub().always(refusal(500));
    await fail(3);
    wait(1000);
    stub().always(refusal(400));
    await fail(1);
    expect(stateOf(tier)).toBe("closed");
  });

  test("a probe that finds the model lets a request try at once; one that fails counts", async () => {
    const { tier, fail } = makeTierWithClock();
    stub().always(refusal(500));
    await fail(3);
    await tier.probe();
    expect(stateOf(tier)).toBe("half-open");
    expect(tier.isReady).toBe(true);
    stub().scriptModels(refusal(500));
    await expect(tier.probe()).rejects.toMatchObject({ code: "AIR_ERR_REMOTE", failure: { status: 500 } });
    expect(stateOf(tier)).toBe("open");
  });
});
