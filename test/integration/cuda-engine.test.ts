/**
 * The CUDA backend against the CPU on the bundled models. With AIR_REQUIRE_GPU=1 on the machine's GPU; else in a short
 * form on the fake driver, whose kernels run in the emulator.
 */
import { beforeAll, describe, expect, test } from "vitest";

import { loadModel, type LoadModelOptions, type Model, perplexity } from "../../lib/index.js";
import { requiresGpu as full, findTestDevice, type TestDevice } from "../support/gpu.js";
import { evalPrompts, modelFile } from "../support/speculation-equality.js";

const smallModel = modelFile("air-tiny-chat-draft-q8_0.gguf");
const models = full
  ? ["air-tiny-large-q4_0", "air-tiny-chat-q4_0", "air-tiny-draft-q8_0", "air-tiny-chat-draft-q8_0"]
  : ["air-tiny-chat-draft-q8_0"];
const files = models.map((name) => modelFile(`${name}.gguf`));
const timeout = 600_000;

let device: TestDevice;
beforeAll(() => {
  device = findTestDevice();
}, timeout);

const load = (file: string, options: LoadModelOptions): Promise<Model> =>
  loadModel(file, { contextTokens: 512, maxBatchTokens: full ? 512 : 64, ...options });

/** The perplexity of the same text on both devices, the CPU's first. */
async function perplexities(file: string, options: LoadModelOptions): Promise<readonly [number, number]> {
  const window = full ? 255 : 40;
  const measure = async (where: "cpu" | "cuda"): Promise<number> => {
    using model = await load(file, { ...options, device: where });
    const text = model.tokenizer.encode(evalPrompts(full ? 200 : 4).join("\n"));
    const part = text.slice(0, full ? 8 * window : window);
    return (await perplexity(model, part, { contextTokens: window + 1 })).perplexity;
  };
  return [await measure("cpu"), await measure("cuda")];
}

describe("perplexity on a CUDA device", () => {
  const types = full ? (["f16", "int8", "int4"] as const) : (["int8"] as const);
  test.each(files.flatMap((file) => types.map((kv) => [file, kv] as const)))(
    "is the CPU's for %s, KV in %s",
    { timeout },
    async (file, kv) => {
      if (device === "none") return;
      const [onCpu, onDevice] = await perplexities(file, { kv });
      // Both round, each at other places; the CPU's activations are int8 and the device's float16.
      expect(Math.abs(onDevice / onCpu - 1)).toBeLessThan(full ? 1e-3 : 2e-2);
    },
  );

  test("is the CPU's under a window with sinks", { timeout }, async () => {
    if (device === "none") return;
    const window = { window: full ? 100 : 20, sinks: 4, pageTokens: 16 };
    const [onCpu, onDevice] = await perplexities(files[0] ?? smallModel, window);
    expect(Math.abs(onDevice / onCpu - 1)).toBeLessThan(full ? 1e-3 : 2e-2);
  });
});
