import { mkdir, readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";

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

/** Where weights begin in a pack file (native/core/weights/pack_file.cc). */
const packedOffset = 2 * 2 ** 20;

/**
 * Whether a pack cache seems to hold a model's packed weights, by the name and the size of its files. Only the native side,
 * which reads them, can tell for sure: files of another content are not used, and the weights packed anew.
 */
export async function hasPackFile(directory: string, model: string, packedBytes: number): Promise<boolean> {
  const prefix = `${basename(model)
    .replace(/\.gguf$/, "")
    .slice(0, 200)}-`;
  try {
    for (const name of await readdir(directory)) {
      if (!name.startsWith(prefix) || !/^[0-9a-f]{16}\.airpack$/.test(name.slice(prefix.length))) continue;
      const { size } = await stat(join(directory, name));
      if (size === packedOffset + packedBytes) return true;
    }
  } catch {
    // A directory that cannot be read holds nothing for us.
  }
  return false;
}
