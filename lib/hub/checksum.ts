import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";

import type { FileDigest } from "./model-files.js";

const chunkBytes = 1 << 20;

/** Checksums of a file as it lies on the disk. */
export interface Checksums {
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  /** Whether the content is the promised one. */
  readonly matches: boolean;
}

/**
 * Reads a file and compares it with a digest.
 *
 * @param onBytes - told how much was read; may throw to stop
 */
export async function checkContent(
  handle: FileHandle,
  bytes: number,
  { kind, hex }: FileDigest,
  onBytes: (doneBytes: number) => void,
): Promise<Checksums> {
  const sha256 = createHash("sha256");
  // git hashes a blob with its length before it.
  const git = kind === "git-sha1" ? createHash("sha1").update(`blob ${bytes}\0`) : undefined;
  const buffer = Buffer.allocUnsafe(chunkBytes);
  let doneBytes = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, chunkBytes, doneBytes);
    if (bytesRead === 0) break;
    const chunk = buffer.subarray(0, bytesRead);
    sha256.update(chunk);
    git?.update(chunk);
    doneBytes += bytesRead;
    onBytes(doneBytes);
  }
  const digest = sha256.digest("hex");
  const found = git === undefined ? digest : git.digest("hex");
  return { sha256: digest, matches: doneBytes === bytes && found === hex };
}
