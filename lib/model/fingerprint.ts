import { createHash } from "node:crypto";
import { open, type FileHandle } from "node:fs/promises";

import { AirError, ioError } from "../errors/air-error.js";
import type { ModelFile } from "./gguf.js";

const sampleCount = 64;
const sampleBytes = 4096;
const headerChunkBytes = 1 << 20;

/**
 * Names a model file by its content: SHA-256, as hex, over the header (metadata and tensor infos), the file's size and 64
 * samples of 4 KiB spread evenly over the tensor data. It takes milliseconds where a hash of the whole file takes
 * seconds, and tells apart files of other weights, but not ones made to look alike.
 *
 * @throws {AirError} AIR_ERR_IO when the file cannot be read
 */
export async function fingerprintModel({ path, fileBytes, headerBytes }: ModelFile): Promise<string> {
  const hash = createHash("sha256").update(`air-fingerprint-1 ${fileBytes} ${headerBytes}\0`);
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    for (let offset = 0; offset < headerBytes; offset += headerChunkBytes) {
      hash.update(await readAt(handle, path, offset, Math.min(headerChunkBytes, headerBytes - offset)));
    }
    const dataBytes = fileBytes - headerBytes;
    // The last sample ends with the file; in a small file they overlap.
    const step = Math.max(0, dataBytes - sampleBytes) / (sampleCount - 1);
    for (let sample = 0; sample < sampleCount; sample += 1) {
      const offset = headerBytes + Math.round(sample * step);
      hash.update(await readAt(handle, path, offset, Math.min(sampleBytes, fileBytes - offset)));
    }
  } catch (error) {
    if (error instanceof AirError) throw error;
    throw ioError(path, "a readable file", error);
  } finally {
    await handle?.close();
  }
  return hash.digest("hex");
}

async function readAt(handle: FileHandle, path: string, offset: number, length: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(length);
  const { bytesRead } = await handle.read(buffer, 0, length, offset);
  if (bytesRead !== length) throw ioError(path, "a readable file", `one that ends at ${offset + bytesRead}`);
  return buffer;
}
