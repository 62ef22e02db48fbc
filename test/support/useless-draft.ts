import { readFileSync, writeFileSync } from "node:fs";

import { readGguf } from "../../lib/model/gguf.js";
import { uniform } from "../../lib/util/rng.js";

/** Writes a copy of a Q8_0 model whose weights are noise: it has the vocabulary, and nothing to say. */
export async function writeUselessDraft(source: string, out: string): Promise<void> {
  const bytes = readFileSync(source);
  const { tensors } = await readGguf(source);
  const blockBytes = 34; // a float16 scale and 32 quants
  for (const { type, offsetBytes, lengthBytes } of tensors) {
    if (type !== "Q8_0") continue;
    for (let block = offsetBytes; block < offsetBytes + lengthBytes; block += blockBytes) {
      const noise = Math.floor(uniform(1, block, "sample") * 2 ** 32);
      for (let index = 2; index < blockBytes; index += 1) {
        bytes[block + index] = Math.imul(noise + index, 0x9e3779b1) >>> 24;
      }
    }
  }
  writeFileSync(out, bytes);
}
