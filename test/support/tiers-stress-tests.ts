import { expect, test } from "vitest";

import { FakeAddon } from "./fake-native.js";
import { FlakyAddon } from "./flaky-addon.js";
import { expectHeld } from "./stress-report.js";
import { stress } from "./tiers-stress.js";
import { until } from "./tier-runtime.js";

/**
 * The tests of tiers under stress, in the size of the file that calls this.
 *
 * @param prefix - before the names of the tests
 */
export function testStress(requests: number, prefix = ""): void {
  test(`${prefix}every request ends in its answer or a typed error while tiers come and go`, async () => {
    expectHeld(await stress({ requests, seed: 1 }), requests);
  });

  test(`${prefix}every request ends in its answer or a typed error while loads and steps fail, too`, async () => {
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
}
