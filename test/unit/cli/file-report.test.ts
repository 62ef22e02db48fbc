import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { reportFile } from "../../../lib/cli/file-report.js";
import { type ModelFile, readGguf } from "../../../lib/model/gguf.js";

const models = fileURLToPath(new URL("../../../models/", import.meta.url));

const empty: ModelFile = { path: "x.gguf", fileBytes: 0, headerBytes: 0, metadata: new Map(), tensors: [] };

describe("reportFile", () => {
  test("reads the bundled model's facts from its header", async () => {
    const report = reportFile(await readGguf(`${models}air-tiny-chat-q4_0.gguf`));
    expect(report.architecture).toBe("llama");
    expect(report.parameterCount).toBe(8392960);
    expect(report.fileBytes).toBe(5391424);
    expect(report.tokenizer).toMatchObject({ kind: "gpt2", tokens: 4096, chatTemplate: true });
    expect(report.tensors.map(({ type }) => type).sort()).toEqual(["F32", "Q4_0", "Q8_0"]);
    const tensorBytes = report.tensors.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(tensorBytes).toBeLessThan(report.fileBytes);
    // Q4_0 and Q8_0 keep their size when packed.
    expect(report.memory.weightBytes).toBe(tensorBytes);
  });

  test("counts a tied embedding twice: mapped for lookups, packed for the output", async () => {
    const report = reportFile(await readGguf(`${models}air-tiny-chat-draft-q8_0.gguf`));
    const fileTensors = report.tensors.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(report.memory.weightBytes).toBeGreaterThan(fileTensors * 1.3);
  });

  test("estimates KV bytes from heads padded to 32 dims, int8 with two scales a head", () => {
    const metadata = new Map<string, string | number>([
      ["general.architecture", "test"],
      ["test.block_count", 3],
      ["test.attention.head_count", 8],
      ["test.attention.head_count_kv", 2],
      ["test.attention.key_length", 40],
    ]);
    const { memory } = reportFile({ ...empty, metadata });
    expect(memory.kvBytesPerToken).toEqual({ int8: 3 * 2 * 2 * (64 + 2), f16: 3 * 2 * 2 * 64 * 2 });
  });

  test("leaves out what a foreign header lacks or has of the wrong kind", () => {
    const metadata = new Map<string, string | number>([
      ["general.architecture", "mystery"],
      ["mystery.context_length", "long"],
    ]);
    const report = reportFile({ ...empty, metadata });
    expect(report.architecture).toBe("mystery");
    expect(report.contextTokens).toBeUndefined();
    expect(report.memory.kvBytesPerToken).toBeUndefined();
    expect(report.tokenizer.tokens).toBe(0);
  });
});
