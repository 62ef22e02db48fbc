import { expect, test } from "vitest";

import { FakeAddon } from "../support/fake-native.js";
import { FlakyAddon } from "../support/flaky-addon.js";
import { expectHeld } from "../support/stress-report.js";
import { stress } from "../support/tiers-stress.js";
import { until } from "../support/tier-runtime.js";

const requests = 150;

test("every request ends in its answer or a typed error while tiers come and go", async () => {
  expectHeld(await stress({ requests, seed: 1 }), requests);
});

test("every request ends in its answer or a typed error while loads and steps fail, too", async () => {
  const addon = new FlakyAddon(7, 6, 60);
  const report = await stress({
    ...{ requests, seed: 2, addon, referenceAddon: () => new FakeAddon() },
    faults: ["AIR_ERR_OUT_OF_MEMORY"],
  });
  expectHeld(report, requests);
  expect(report.failures.get("AIR_ERR_OUT_OF_MEMORY")).toBeGreaterThan(0);
  await until(() => addon.controls.openHandles() === 0);
  expect(addon.controls.closesInFlight).toBe(0);
});
