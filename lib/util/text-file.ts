import { randomUUID } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";

import { ioError } from "../errors/air-error.js";

/**
 * A text file; bytes that are not UTF-8 become U+FFFD.
 *
 * @param expected - what the file should be, such as "a readable configuration"
 * @throws {AirError} AIR_ERR_IO when it cannot be read
 */
export async function readTextFile(path: string, expected: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw ioError(path, expected, cause);
  }
}

/**
 * Writes a file whole or not at all.
 *
 * @throws {AirError} AIR_ERR_IO when it cannot be written
 */
export async function writeWhole(path: string, text: string, expected = "a writable file"): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await writeFile(temporary, text);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw ioError(path, expected, cause);
  }
}
