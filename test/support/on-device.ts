/**
 * Setup of the vitest project "gpu-suite": models that tests load without a device go to the GPU, so that tests that
 * were written for the CPU show that everything works there as well.
 */
import { vi } from "vitest";

import type * as device from "../../lib/runtime/device.js";

vi.mock("../../lib/runtime/device.js", async (importOriginal) => {
  const { chooseDevice, ...others } = await importOriginal<typeof device>();
  const onDevice: typeof chooseDevice = (addon, options) =>
    chooseDevice(addon, { ...options, device: options.device === "cpu" ? "cuda" : options.device });
  return { ...others, chooseDevice: onDevice };
});
