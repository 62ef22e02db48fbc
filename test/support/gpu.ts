import { loadAddon } from "../../lib/native/load.js";
import { fakeCudaLibrary } from "./fake-cuda.js";

/** Whether this run is to use a real GPU; without one it fails. */
export const requiresGpu = process.env["AIR_REQUIRE_GPU"] === "1";

/** Where a test of the CUDA backend runs; none in a build without kernels. */
export type TestDevice = "gpu" | "fake" | "none";

/**
 * Finds the device of the tests: the machine's with AIR_REQUIRE_GPU=1, else that of the fake driver, whose emulator is a
 * few thousand times as slow, so that tests take less of everything there.
 */
export function findTestDevice(): TestDevice {
  if (!requiresGpu) process.env["AIR_CUDA_LIBRARY"] ??= fakeCudaLibrary();
  const { devices, reason = "the driver has no device" } = loadAddon().listCudaDevices();
  if (devices.length > 0) return requiresGpu ? "gpu" : "fake";
  if (requiresGpu) throw new Error(`expected a GPU for AIR_REQUIRE_GPU=1 but received: ${reason}`);
  if (!reason.includes("made without nvcc")) throw new Error(reason);
  return "none";
}
