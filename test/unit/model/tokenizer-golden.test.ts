import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";

import { writeGguf } from "../../../bench/models/gguf-writer.js";
import { readGguf } from "../../../lib/model/gguf.js";
import { createTokenizer, type Tokenizer } from "../../../lib/model/tokenizer.js";
import { corpusLines } from "../../golden/tokenizer/corpus.js";
import { formatIds, hashIds, readGoldenFile } from "../../golden/tokenizer/golden-file.js";
import { goldenVocabularies } from "../../golden/tokenizer/vocabularies.js";

const lines = corpusLines();
const scratch = mkdtempSync(join(tmpdir(), "air-tokenizer-"));
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

/** The first few lines whose ids are not llama.cpp's, in a form that shows what went wrong. */
function differences(name: string, tokenizer: Tokenizer): readonly string[] {
  const golden = readGoldenFile(name);
  expect(golden).toHaveLength(lines.length);
  return lines
    .flatMap((line, i) => {
      const ids = {
        plain: tokenizer.encode(line, { bos: false }),
        special: tokenizer.encode(line, { bos: false, special: true }),
      };
      const expected = golden[i];
      if (hashIds(ids) === expected?.hash) return [];
      return [
        `${name} line ${String(i)} ${JSON.stringify(line)}: got ${formatIds(ids)}, want ${expected?.ids ?? "other ids"}`,
      ];
    })
    .slice(0, 3);
}

describe("tokenizer against llama.cpp on 1,000 lines", () => {
  test.each(goldenVocabularies())("gives the same ids for $name", async ({ name, metadata }) => {
    const path = join(scratch, `${name}.gguf`);
    await writeGguf(path, { metadata, tensors: [] });
    const tokenizer = createTokenizer((await readGguf(path)).metadata);
    expect(differences(name, tokenizer)).toEqual([]);
  });

  test("gives the same ids for the bundled chat model", async () => {
    const path = fileURLToPath(new URL("../../../models/air-tiny-chat-q4_0.gguf", import.meta.url));
    const tokenizer = createTokenizer((await readGguf(path)).metadata);
    expect(differences("air-tiny-chat", tokenizer)).toEqual([]);
  });
});
