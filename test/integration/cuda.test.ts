import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

import { beforeAll, describe, expect, test } from "vitest";

import { loadModel, type Model } from "../../lib/index.js";
import { loadAddon } from "../../lib/native/load.js";
import { fakeCudaLibrary } from "../support/fake-cuda.js";

const file = fileURLToPath(new URL("../../models/air-tiny-chat-q4_0.gguf", import.meta.url));

/** The build's kernels are what the fake driver is offered; a build without nvcc has none to offer. */
const carriesKernels = (): boolean => {
  const { reason } = loadAddon().listCudaDevices();
  return reason?.includes("made without nvcc") !== true;
};

async function answer(model: Model): Promise<readonly number[]> {
  using session = model.createSession();
  const { tokens } = await session.generate("The capital of France is", { maxTokens: 8 }).result;
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
