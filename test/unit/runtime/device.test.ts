import { describe, expect, test } from "vitest";

import type { CudaDevices } from "../../../lib/native/native.js";
import { chooseDevice, placeLayers } from "../../../lib/runtime/device.js";
import { FakeAddon } from "../../support/fake-native.js";
import { plannedLlama, plannedSettings } from "../../support/planned-llama.js";

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
    expect(chooseDevice(() => addon, { device: "cpu" })).toEqual({ backend: "cpu" });
    expect(chooseDevice(() => addon, { device: "cuda", gpuLayers: 0 })).toEqual({ backend: "cpu" });
    expect(addon.asked).toBe(0);
  });

  test("takes a device for cuda and auto; its memory counts unless it is the system's", () => {
    const integrated = new AddonWithDevices({ devices: [orin] });
    const discrete = new AddonWithDevices({ devices: [{ ...orin, isIntegrated: false }] });
    for (const device of ["cuda", "auto"] as const) {
      expect(chooseDevice(() => integrated, { device })).toEqual({ backend: "cuda" });
      expect(chooseDevice(() => discrete, { device })).toEqual({ backend: "cuda", memoryBytes: 50e9 });
    }
  });

  test("without a device auto is the CPU, and cuda is refused with the reason", () => {
    const none = new AddonWithDevices({ devices: [], reason: "expected a CUDA driver but there is none" });
    expect(chooseDevice(() => none, { device: "auto", gpuLayers: 3 })).toEqual({ backend: "cpu" });
    expect(() => chooseDevice(() => none, { device: "cuda" })).toThrow(
      expect.objectContaining({
        code: "AIR_ERR_NO_DEVICE",
        message: "expected a CUDA driver but there is none",
      }),
    );
  });

  test("layers for a GPU are refused where none was asked for", () => {
    const addon = new AddonWithDevices({ devices: [orin] });
    expect(() => chooseDevice(() => addon, { device: "cpu", gpuLayers: 2 })).toThrow(
      expect.objectContaining({ code: "AIR_ERR_ARGUMENT" }),
    );
  });
});

describe("placeLayers", () => {
  const placed = { model: plannedLlama(8), settings: plannedSettings };
  const ample = { backend: "cuda", memoryBytes: 2 ** 40 } as const;
  const tiny = { backend: "cuda", memoryBytes: 2 ** 20 } as const;

  test("all layers go to a device that has room, or that shares the system's memory", () => {
    for (const device of [ample, { backend: "cuda" } as const]) {
      const options = { device: "cuda", force: false } as const;
      expect(placeLayers(device, placed, options)).toEqual({ backend: "cuda", gpuLayers: 8 });
      expect(placeLayers(device, placed, { ...options, gpuLayers: 3 })).toMatchObject({ gpuLayers: 3 });
      expect(placeLayers(device, placed, { ...options, gpuLayers: 99 })).toMatchObject({ gpuLayers: 8 });
    }
    expect(placeLayers({ backend: "cpu" }, placed, { device: "auto", force: false })).toEqual({
      backend: "cpu",
      gpuLayers: 0,
    });
  });

  test("auto takes as many as fit, and memoryBytes is the device's", () => {
    const options = { device: "cuda", gpuLayers: "auto", force: false } as const;
    const found: number[] = [];
    for (let mebibytes = 100; mebibytes < 1000; mebibytes += 50) {
      try {
        const { gpuLayers } = placeLayers(ample, placed, { ...options, memoryBytes: mebibytes * 2 ** 20 });
        found.push(gpuLayers);
      } catch {
        found.push(0);
      }
    }
    expect(found).toEqual([...found].sort((a, b) => a - b));
    expect(new Set(found).size).toBeGreaterThan(4);
    expect(found.at(-1)).toBe(8);
  });

  test("where nothing fits, auto is the CPU and cuda is refused, unless forced", () => {
    expect(placeLayers(tiny, placed, { device: "auto", force: false })).toEqual({
      backend: "cpu",
      gpuLayers: 0,
    });
    for (const gpuLayers of [undefined, "auto", 5] as const) {
      const options = { device: "cuda", ...(gpuLayers !== undefined && { gpuLayers }) } as const;
      expect(() => placeLayers(tiny, placed, { ...options, force: false })).toThrow(
        expect.objectContaining({ code: "AIR_ERR_MEMORY" }),
      );
      expect(placeLayers(tiny, placed, { ...options, force: true })).toMatchObject({ backend: "cuda" });
    }
  });
});
