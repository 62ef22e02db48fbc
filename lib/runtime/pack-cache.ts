import { mkdir } from "node:fs/promises";

import { invalidArgument } from "../errors/air-error.js";

/**
 * Makes the directory of a pack cache. One that the system refuses is left to the native side, which reports that the
 * weights could not be written; the model loads all the same.
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT when the path is, or leads through, something else than a directory
 */
export async function preparePackCache(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" || code === "ENOTDIR") throw invalidArgument("packCache", "a directory", directory);
  }
}
