import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

import { beforeAll, describe, expect, test } from "vitest";

import { deviceMemory } from "../../lib/cache/device-plan.js";
import { loadModel, type LoadModelOptions, type Model } from "../../lib/index.js";
import { describeModel } from "../../lib/model/architecture.js";
import { readGguf } from "../../lib/model/gguf.js";
import { loadAddon } from "../../lib/native/load.js";
import { toPlannedModel } from "../../lib/runtime/memory-check.js";
import { fakeCudaLibrary } from "../support/fake-cuda.js";

const file = fileURLToPath(new URL("../../models/air-tiny-chat-q4_0.gguf", import.meta.url));

/** The build's kernels are what the fake driver is offered; a build without nvcc has none to offer. */
const carriesKernels = (): boolean => {
  const { reason } = loadAddon().listCudaDevices();
  return reason?.includes("made without nvcc") !== true;
};

async function answer(model: Model, maxTokens = 8): Promise<readonly number[]> {
  using session = model.createSession();
  const { tokens } = await session.generate("The capital of France is", { maxTokens }).result;
  return tokens;
}

describe("the CUDA backend against the fake driver", () => {
  beforeAll(() => {
    process.env["AIR_CUDA_LIBRARY"] = fakeCudaLibrary();
  }, 600_000);

  test("devices are listed, or the build says that it has no kernels", () => {
    const { devices, reason, driverVersion } = loadAddon().listCudaDevices();
    if (!carriesKernels()) {
      expect(reason).toContain("without nvcc");
      return;
    }
    expect(reason).toBeUndefined();
    expect(driverVersion).toBe("11.4");
    expect(devices).toMatchObject([
      { index: 0, name: "Fake GPU", computeCapability: "8.7", isIntegrated: false },
    ]);
  });

  test("the bundled model says the same on the device as on the CPU", { timeout: 300_000 }, async () => {
    using onCpu = await loadModel(file, { kv: "f16" });
    const expected = await answer(onCpu);
    if (!carriesKernels()) {
      await expect(loadModel(file, { device: "cuda" })).rejects.toMatchObject({ code: "AIR_ERR_NO_DEVICE" });
      return;
    }
    using onDevice = await loadModel(file, {
      device: "cuda",
      kv: "f16",
      contextTokens: 256,
      maxBatchTokens: 64,
    });
    expect(onDevice.info.device).toMatchObject({ name: "Fake GPU", image: "sass" });
    expect(await answer(onDevice)).toEqual(expected);
  });

  test("layers stay on the CPU as asked, or as memory demands, and the text is the same", async () => {
    if (!carriesKernels()) return;
    const common = { kv: "f16", contextTokens: 256, maxBatchTokens: 64 } as const;
    const onDevice = { ...common, device: "cuda" } as const;
    using onCpu = await loadModel(file, common);
    const expected = await answer(onCpu, 4);
    const planned = toPlannedModel(await describeModel(await readGguf(file)));
    const layersOf = async (options: LoadModelOptions): Promise<number> => {
      using model = await loadModel(file, { ...onDevice, ...options });
      expect(await answer(model, 4)).toEqual(expected);
      const { device } = model.info;
      return device?.layers ?? 0;
    };
    for (let gpuLayers = 0; gpuLayers <= planned.layers; gpuLayers += 1)
      expect(await layersOf({ gpuLayers })).toBe(gpuLayers);
    const settings = {
      ...common,
      sequences: 1,
      pageTokens: 32,
      threads: 1,
      keyType: "f16",
      valueType: "f16",
    } as const;
    const bytes = (layers: number): number => deviceMemory(planned, settings, layers) * 1.05 + 64 * 2 ** 20;
    expect(await layersOf({ gpuLayers: "auto" })).toBe(planned.layers);
    expect(await layersOf({ memoryBytes: Math.ceil(bytes(2)) + 1 })).toBe(2);
    await expect(
      loadModel(file, { ...onDevice, gpuLayers: 3, memoryBytes: Math.ceil(bytes(2)) + 1 }),
    ).rejects.toMatchObject({ code: "AIR_ERR_MEMORY" });
    await expect(loadModel(file, { gpuLayers: 3 })).rejects.toMatchObject({ code: "AIR_ERR_ARGUMENT" });
  }, 300_000);

  test("air doctor shows the device and its kernels, and a missing driver is a reason", () => {
    const main = fileURLToPath(new URL("../../lib/cli/main.ts", import.meta.url));
    const doctor = (library: string): string =>
      execFileSync("npx", ["tsx", main, "doctor"], {
        encoding: "utf8",
        env: { ...process.env, AIR_CUDA_LIBRARY: library },
      });
    const missing = doctor("/no/such/libcuda.so.1");
    expect(missing).toContain("CUDA: none (");
    if (!carriesKernels()) return;
    expect(missing).toContain("/no/such/libcuda.so.1");
    const found = doctor(process.env["AIR_CUDA_LIBRARY"] ?? "");
    expect(found).toContain("Fake GPU, compute capability 8.7");
    expect(found).toContain("compiled kernels, loaded in ");
  });
});
