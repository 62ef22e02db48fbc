import { setTimeout as sleep } from "node:timers/promises";

import { describe, expect, test } from "vitest";

import { WorkMeter, type WorkProgress } from "../../../lib/compression/work-meter.js";

const nothing = (): Promise<void> => Promise.resolve();

describe("WorkMeter", () => {
  test("reports what part is done, and passes results on", async () => {
    const seen: WorkProgress[] = [];
    const meter = new WorkMeter(10, (progress) => seen.push(progress), undefined);
    expect(await meter.track("first", 4, () => Promise.resolve("result"))).toBe("result");
    await meter.track("second", 1, nothing);
    expect(seen.map(({ fraction, label }) => ({ fraction, label }))).toEqual([
      { fraction: 0.4, label: "first" },
      { fraction: 0.5, label: "second" },
    ]);
  });

  test("estimates the rest by work that took time, not by what was known already", async () => {
    const seen: WorkProgress[] = [];
    const meter = new WorkMeter(100, (progress) => seen.push(progress), undefined);
    await meter.track("known", 50, nothing);
    await meter.track("computed", 10, () => sleep(30));
    expect(seen[0]?.etaSeconds).toBeUndefined();
    // 10 units took at least 30 ms, so the 40 that are left take 120; a busy machine makes it more.
    expect(seen[1]?.etaSeconds).toBeGreaterThan(0.11);
    await meter.track("the last", 40, nothing);
    expect(seen[2]).toMatchObject({ fraction: 1, etaSeconds: 0 });
  });

  test("never reports more than all of it", async () => {
    const seen: number[] = [];
    const meter = new WorkMeter(2, ({ fraction }) => seen.push(fraction), undefined);
    for (let part = 0; part < 3; part += 1) await meter.track("more than planned", 1, nothing);
    expect(seen).toEqual([0.5, 1, 1]);
  });

  test("starts nothing more after an abort", async () => {
    const controller = new AbortController();
    const meter = new WorkMeter(2, undefined, controller.signal);
    await meter.track("before", 1, nothing);
    controller.abort(new Error("enough"));
    let started = false;
    const work = meter.track("after", 1, () => {
      started = true;
      return nothing();
    });
    await expect(work).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED", cause: controller.signal.reason });
    expect(started).toBe(false);
  });

  test("counts nothing for work that failed", async () => {
    const seen: number[] = [];
    const meter = new WorkMeter(2, ({ fraction }) => seen.push(fraction), undefined);
    await expect(meter.track("fails", 1, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    await meter.track("works", 1, nothing);
    expect(seen).toEqual([0.5]);
  });
});
