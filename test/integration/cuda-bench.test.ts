/** What `air bench --device cuda` asks of the addon, on a GPU with AIR_REQUIRE_GPU=1, else on the fake driver. */
import { beforeAll, describe, expect, test } from "vitest";

import { loadAddon } from "../../lib/native/load.js";
import { requiresGpu, findTestDevice, type TestDevice } from "../support/gpu.js";

let device: TestDevice;
beforeAll(() => {
  device = findTestDevice();
}, 600_000);

describe("measureDeviceBandwidth", () => {
  test("reads as many bytes as asked in the time that the device says", async () => {
    if (device === "none") return;
    const [small, large] = requiresGpu ? [2 ** 20, 2 ** 30] : [2 ** 12, 2 ** 16];
    const slow = await loadAddon().measureDeviceBandwidth(0, small);
    const fast = await loadAddon().measureDeviceBandwidth(0, large);
    expect(slow).toBeGreaterThan(0);
    // Every launch of the fake driver takes half a millisecond.
    if (device === "fake") expect(fast / slow).toBeCloseTo(16, 3);
    else expect(fast).toBeGreaterThan(20);
  });

  test("refuses what is no number of bytes, no device, and more than there is memory", async () => {
    const measure = (index: number, bytes: number) => loadAddon().measureDeviceBandwidth(index, bytes);
    for (const bytes of [0, 15, 1.5, NaN])
      await expect(measure(0, bytes)).rejects.toMatchObject({ code: "AIR_ERR_ARGUMENT" });
    await expect(measure(-1, 2 ** 20)).rejects.toMatchObject({ code: "AIR_ERR_ARGUMENT" });
    await expect(measure(200, 2 ** 20)).rejects.toMatchObject({ code: "AIR_ERR_NO_DEVICE" });
    if (device === "none") return;
    await expect(measure(0, 2 ** 41)).rejects.toMatchObject({ code: "AIR_ERR_OUT_OF_MEMORY" });
  });
});
