/** The plan against what the addon really does: exact sizes of what it packs and reserves, and resident memory. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, describe, expect, test } from "vitest";

import { fileTypes, type FileType } from "../../bench/models/file-types.js";
import { runFillContext } from "../../bench/memory/run-fill-context.js";
import { inflateModel } from "../../bench/models/inflate-model.js";
import { loadModel, type Model, planModel } from "../../lib/index.js";

const models = fileURLToPath(new URL("../../models/", import.meta.url));
const bundled = [
  "air-tiny-chat-q4_0",
  "air-tiny-large-q4_0",
  "air-tiny-chat-draft-q8_0",
  "air-tiny-draft-q8_0",
];
const folder = mkdtempSync(join(tmpdir(), "air-plan-"));

afterAll(() => {
  rmSync(folder, { recursive: true });
});

describe("planModel", () => {
  const expectSizes = async (file: string, model: Model, options: Parameters<typeof planModel>[1]) => {
    const plan = await planModel(file, options);
    const { weightBytes, mappedBytes, kvBytes, workspaceBytes } = model.memory();
    expect(plan).toMatchObject({ weightBytes, embeddingBytes: mappedBytes, kvBytes });
    return { plan, workspaceBytes };
  };

  test.each(bundled)("knows the bytes of %s that are packed, mapped and reserved", async (name) => {
    const file = join(models, `${name}.gguf`);
    using model = await loadModel(file, { contextTokens: 1000, kvTokens: 2 * 1024 });
    const options = { contextTokens: 1000, sequences: 2, threads: model.info.threads };
    const { plan, workspaceBytes } = await expectSizes(file, model, options);
    // What is reserved for sinks is not touched; threads and logits come on top.
    expect(plan.bufferBytes).toBeGreaterThan(0.7 * workspaceBytes);
    expect(plan.bufferBytes).toBeLessThan(workspaceBytes + 2e6);
  });

  test.each(Object.keys(fileTypes) as FileType[])("knows how %s is packed", async (type) => {
    const file = join(folder, `${type}.gguf`);
    await inflateModel(join(models, "air-tiny-large-q4_0.gguf"), file, { type });
    using model = await loadModel(file, { kv: "f16", contextTokens: 64, pageTokens: 16 });
    await expectSizes(file, model, { kv: "f16", contextTokens: 64, pageTokens: 16 });
  });

  test.runIf(existsSync("/proc/self/status")).each([
    [bundled[0] ?? "", { kv: "int8", contextTokens: 2048 } as const, 1],
    [bundled[1] ?? "", { kv: "f16", contextTokens: 512 } as const, 2],
  ])("foresees the resident memory of %s at %o, %i full texts", async (name, load, sequences) => {
    const file = join(models, `${name}.gguf`);
    const { threads, rssBytes } = runFillContext({ model: file, sequences, load });
    const { kv, contextTokens } = load;
    const plan = await planModel(file, { kv, contextTokens, sequences, threads });
    // bench/memory/plan-accuracy.ts shows 5%. Node's own heap, most of such a small process, varies with its version.
    expect(plan.totalBytes / rssBytes).toBeGreaterThan(0.88);
    expect(plan.totalBytes / rssBytes).toBeLessThan(1.12);
  });
});
