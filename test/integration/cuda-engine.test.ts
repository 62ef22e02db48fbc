/**
 * What the CUDA backend predicts, against the CPU on the bundled models. With AIR_REQUIRE_GPU=1 on the machine's GPU; else
 * in a short form on the fake driver, whose kernels run in the emulator.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { inflateModel } from "../../bench/models/inflate-model.js";
import { loadModel, type LoadModelOptions } from "../../lib/index.js";
import { requiresGpu as full, findTestDevice, type TestDevice } from "../support/gpu.js";
import { meanDifference, negativeLogLikelihoods } from "../support/likelihoods.js";
import { evalPrompts, modelFile } from "../support/speculation-equality.js";

const smallModel = "air-tiny-chat-draft-q8_0";
const models = full
  ? ["air-tiny-large-q4_0", "air-tiny-chat-q4_0", "air-tiny-draft-q8_0", smallModel]
  : [smallModel];
const kvTypes = full ? (["f16", "int8", "int4"] as const) : (["int8"] as const);
const timeout = 600_000;

let device: TestDevice;
let folder: string;
beforeAll(async () => {
  device = findTestDevice();
  folder = mkdtempSync(join(tmpdir(), "air-cuda-"));
  for (const name of models)
    await inflateModel(modelFile(`${name}.gguf`), join(folder, `${name}.gguf`), { type: "F16" });
}, timeout);
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** How much less likely a text is to the device than to the CPU, in nats a token. */
async function difference(file: string, options: LoadModelOptions) {
  const window = full ? 255 : 50;
  const measure = async (where: "cpu" | "cuda"): Promise<readonly number[]> => {
    const sizes = { contextTokens: 512, maxBatchTokens: full ? 512 : 64 };
    using model = await loadModel(file, { ...sizes, ...options, device: where });
    const text = model.tokenizer.encode(evalPrompts(full ? 200 : 4).join("\n"));
    const windows = Math.min(full ? 32 : 1, Math.floor((text.length - 1) / window));
    const part = text.slice(0, windows * window + 1);
    return await negativeLogLikelihoods(model, part, window + 1);
  };
  return meanDifference(await measure("cpu"), await measure("cuda"));
}

const cases = models.flatMap((name) => kvTypes.map((kv) => [name, kv] as const));

describe("perplexity on a CUDA device", () => {
  // Neither rounds activations below float16 then.
  test.each(cases)(
    "is the CPU's to a thousandth for %s with float16 weights, KV in %s",
    { timeout },
    async (name, kv) => {
      if (device === "none") return;
      const { mean } = await difference(join(folder, `${name}.gguf`), { kv });
      expect(Math.abs(Math.expm1(mean))).toBeLessThan(1e-3);
    },
  );

  // The CPU rounds activations to 8 bits before integer weights. That makes tokens likelier or less likely at random, so
  // texts of any length differ by chance.
  test.each(cases)(
    "is the CPU's to a thousandth or chance for %s, KV in %s",
    { timeout },
    async (name, kv) => {
      if (device === "none") return;
      const { mean, error } = await difference(modelFile(`${name}.gguf`), { kv });
      expect(error).toBeLessThan(full ? 5e-3 : 2e-2);
      expect(Math.abs(Math.expm1(mean))).toBeLessThan(Math.max(1e-3, 3 * error));
    },
  );

  test("is the CPU's to a thousandth under a window with sinks", { timeout }, async () => {
    if (device === "none") return;
    const window = { window: full ? 100 : 20, sinks: 4, pageTokens: 16 };
    const { mean } = await difference(join(folder, `${models[0] ?? ""}.gguf`), { ...window, kv: "f16" });
    expect(Math.abs(Math.expm1(mean))).toBeLessThan(1e-3);
  });
});
