import { AirCapacityError } from "../errors/air-error.js";
import type { Backend, NativeAddon } from "../native/native.js";
import type { DeviceChoice } from "./options.js";

/** Where a model is going to run. */
export interface ChosenDevice {
  readonly backend: Backend;
  /** Bytes that a model may take there, where that is not the system's memory. */
  readonly memoryBytes?: number;
}

/**
 * Finds the device that was asked for. The first CUDA device counts.
 *
 * @throws {AirCapacityError} AIR_ERR_NO_DEVICE with the reason when `cuda` was asked for and there is none
 */
export function chooseDevice(addon: () => NativeAddon, choice: DeviceChoice): ChosenDevice {
  if (choice === "cpu") return { backend: "cpu" };
  const { devices, reason } = addon().listCudaDevices();
  const [first] = devices;
  if (first !== undefined)
    return { backend: "cuda", ...(!first.isIntegrated && { memoryBytes: first.freeBytes }) };
  if (choice === "auto") return { backend: "cpu" };
  throw new AirCapacityError(
    "AIR_ERR_NO_DEVICE",
    reason ?? "expected a CUDA device for the model but the driver has none",
  );
}
