import { describe, expect, test } from "vitest";

import type { CudaDevices } from "../../../lib/native/native.js";
import { chooseDevice } from "../../../lib/runtime/device.js";
import { FakeAddon } from "../../support/fake-native.js";

/** An addon that knows these devices. */
class AddonWithDevices extends FakeAddon {
  asked = 0;

  constructor(readonly cuda: CudaDevices) {
    super();
  }

  override listCudaDevices(): CudaDevices {
    this.asked += 1;
    return this.cuda;
  }
}

const orin = {
  index: 0,
  name: "Orin",
  computeCapability: "8.7",
  multiprocessors: 16,
  totalBytes: 64e9,
  freeBytes: 50e9,
  isIntegrated: true,
};

describe("chooseDevice", () => {
  test("does not ask for devices when the CPU is wanted", () => {
    const addon = new AddonWithDevices({ devices: [orin] });
    expect(chooseDevice(() => addon, "cpu")).toEqual({ backend: "cpu" });
    expect(addon.asked).toBe(0);
  });

  test("takes a device for cuda and auto; its memory counts unless it is the system's", () => {
    const integrated = new AddonWithDevices({ devices: [orin] });
    const discrete = new AddonWithDevices({ devices: [{ ...orin, isIntegrated: false }] });
    for (const choice of ["cuda", "auto"] as const) {
      expect(chooseDevice(() => integrated, choice)).toEqual({ backend: "cuda" });
      expect(chooseDevice(() => discrete, choice)).toEqual({ backend: "cuda", memoryBytes: 50e9 });
    }
  });

  test("without a device auto is the CPU, and cuda is refused with the reason", () => {
    const none = new AddonWithDevices({ devices: [], reason: "expected a CUDA driver but there is none" });
    expect(chooseDevice(() => none, "auto")).toEqual({ backend: "cpu" });
    expect(() => chooseDevice(() => none, "cuda")).toThrow(
      expect.objectContaining({
        code: "AIR_ERR_NO_DEVICE",
        message: "expected a CUDA driver but there is none",
      }),
    );
  });
});
