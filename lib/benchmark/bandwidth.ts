import type { ModelParts } from "../runtime/model.js";

/** Far above any cache; a pass over it takes a third of a millisecond on the fastest device. */
const mostDeviceBytes = 2 ** 30;
const leastDeviceBytes = 2 ** 20;

/**
 * What the memory that holds the model is read at, in 10^9 bytes per second: the device's, or the host's by as many
 * threads as compute.
 *
 * @throws {AirNativeError} AIR_ERR_OUT_OF_MEMORY when not even a small buffer fits
 */
export async function measureBandwidth({ addon, native, info }: ModelParts): Promise<number> {
  const { device } = native;
  if (device === undefined) return addon.measureReadBandwidth(info.threads);
  const listed = addon.listCudaDevices().devices.find(({ index }) => index === device.index);
  const share = Math.floor((listed?.freeBytes ?? 0) / 4);
  const bytes = Math.max(leastDeviceBytes, Math.min(mostDeviceBytes, share));
  return addon.measureDeviceBandwidth(device.index, bytes);
}
