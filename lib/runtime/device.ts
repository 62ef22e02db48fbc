import { planDevice } from "../cache/device-plan.js";
import type { MemorySettings, PlannedModel } from "../cache/planned-model.js";
import { AirCapacityError, invalidArgument } from "../errors/air-error.js";
import type { Backend, NativeAddon } from "../native/native.js";
import { formatBytes } from "../util/quantities.js";
import type { ResolvedLoadModelOptions } from "./options.js";

/** A device that a model can go to. */
export interface ChosenDevice {
  readonly backend: Backend;
  /** Bytes that a model may take there, where that is not the system's memory. */
  readonly memoryBytes?: number;
}

/** Where the layers of a model go. */
export interface Placement {
  readonly backend: Backend;
  /** Layers from the end that a CUDA device computes; the CPU computes those before. 0 on the CPU. */
  readonly gpuLayers: number;
}

/** The options that say where a model runs. */
export type DeviceOptions = Pick<ResolvedLoadModelOptions, "device" | "gpuLayers">;

/**
 * Finds the device that was asked for. The first CUDA device counts.
 *
 * @throws {AirCapacityError} AIR_ERR_NO_DEVICE with the reason when `cuda` was asked for and there is none
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT for gpuLayers without a device
 */
export function chooseDevice(addon: () => NativeAddon, { device, gpuLayers }: DeviceOptions): ChosenDevice {
  if (device === "cpu") {
    if (gpuLayers === undefined) return { backend: "cpu" };
    throw invalidArgument("gpuLayers", 'a device "cuda" or "auto" beside it', gpuLayers);
  }
  if (gpuLayers === 0) return { backend: "cpu" };
  const { devices, reason } = addon().listCudaDevices();
  const [first] = devices;
  if (first !== undefined)
    return { backend: "cuda", ...(!first.isIntegrated && { memoryBytes: first.freeBytes }) };
  if (device === "auto") return { backend: "cpu" };
  throw new AirCapacityError(
    "AIR_ERR_NO_DEVICE",
    reason ?? "expected a CUDA device for the model but the driver has none",
  );
}

/** A model to be placed, as the memory plan sees it. */
export interface PlacedModel {
  readonly model: PlannedModel;
  readonly settings: MemorySettings;
  readonly draft?: { readonly model: PlannedModel; readonly maxBatchTokens: number };
}

/**
 * Says how many layers go to the device: as many as asked, else all, or as many as fit into a memory of its own. Where not
 * one fits, `auto` is the CPU.
 *
 * @throws {AirCapacityError} AIR_ERR_MEMORY when what was asked for does not fit, unless forced
 */
export function placeLayers(
  { backend, memoryBytes }: ChosenDevice,
  placed: PlacedModel,
  options: DeviceOptions & Pick<ResolvedLoadModelOptions, "memoryBytes" | "force">,
): Placement {
  if (backend === "cpu") return { backend, gpuLayers: 0 };
  const { layers } = placed.model;
  const asked = options.gpuLayers ?? "auto";
  const most = asked === "auto" ? layers : Math.min(asked, layers);
  // The memory of an integrated device is the system's, which the plan for the CPU is about.
  if (memoryBytes === undefined) return { backend, gpuLayers: most };
  const availableBytes = options.memoryBytes ?? memoryBytes;
  const plan = planDevice({ ...placed, layers: asked, availableBytes });
  if (plan.fits && plan.layers > 0) return { backend, gpuLayers: plan.layers };
  if (options.force) return { backend, gpuLayers: most };
  if (asked === "auto" && options.device === "auto") return { backend: "cpu", gpuLayers: 0 };
  const { neededBytes } = planDevice({ ...placed, layers: asked === "auto" ? 1 : asked, availableBytes });
  throw new AirCapacityError(
    "AIR_ERR_MEMORY",
    `expected ${formatBytes(neededBytes)} of free memory on the device for ${asked === "auto" ? 1 : most} of ` +
      `${layers} layers but received ${formatBytes(availableBytes)}; gpuLayers leaves more of them to the CPU`,
  );
}
