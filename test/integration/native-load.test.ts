import { truncateSync, writeFileSync } from "node:fs";

import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

import { loadAddon } from "../../lib/native/load.js";
import type { DecoderSpec, NativeModel, NativeTensorDirectory } from "../../lib/native/native.js";
import { expectNativeFailure as expectFailure } from "../support/expect-native-failure.js";
import { makeRawModel, type RawModel } from "../support/raw-model.js";

const addon = loadAddon();

describe("loadModel", () => {
  let raw: RawModel;
  const load = (directory: NativeTensorDirectory, spec: DecoderSpec = raw.spec): Promise<NativeModel> =>
    addon.loadModel(directory, spec, { backend: "cpu", threads: 2 });
  const withTensor = (
    role: string,
    change: Partial<NativeTensorDirectory["tensors"][number]>,
  ): NativeTensorDirectory => ({
    files: raw.directory.files,
    tensors: raw.directory.tensors.map((tensor) =>
      tensor.role === role ? { ...tensor, ...change } : tensor,
    ),
  });

  beforeAll(() => {
    raw = makeRawModel();
  });
  afterAll(() => {
    raw.remove();
  });

  test("reports progress up to all bytes, and the conversions", async () => {
    const reports: [number, number][] = [];
    const model = await addon.loadModel(raw.directory, raw.spec, {
      backend: "cpu",
      onProgress: (done, total) => reports.push([done, total]),
    });
    const [done, total] = reports.at(-1) ?? [0, -1];
    expect(done).toBe(total);
    expect(model.conversions).toEqual([
      { from: "F32", to: "f32", tensors: 15, relativeRmsError: 0, maxAbsError: 0 },
    ]);
    expect(model.weightBytes).toBeGreaterThan(0);
    model.close();
  });

  test("rejects with what onProgress throws, and asks no more", async () => {
    const thrown = new Error("enough");
    let calls = 0;
    const loading = addon.loadModel(raw.directory, raw.spec, {
      backend: "cpu",
      onProgress: () => {
        calls += 1;
        throw thrown;
      },
    });
    await expect(loading).rejects.toBe(thrown);
    expect(calls).toBe(1);
  });

  test("refuses a tensor range past the end of the file", async () => {
    const directory = withTensor("output.weight", { offsetBytes: raw.bytes.length - 16 });
    await expectFailure(
      () => load(directory),
      "AIR_ERR_MODEL_FORMAT",
      /byte range within the file's .* output\.weight/,
    );
  });

  test("refuses a tensor whose bytes do not fit its type and shape", async () => {
    const directory = withTensor("output.weight", { lengthBytes: 100 });
    await expectFailure(() => load(directory), "AIR_ERR_MODEL_FORMAT", /output\.weight/);
  });

  test("refuses absurd sizes without trying to allocate them", async () => {
    const huge = withTensor("output.weight", { shape: [2 ** 50, 2 ** 50] });
    await expectFailure(() => load(huge), "AIR_ERR_MODEL_FORMAT", /output\.weight/);
    await expectFailure(
      () => load(raw.directory, { ...raw.spec, vocabSize: 2 ** 40 }),
      "AIR_ERR_MODEL_FORMAT",
      /for vocabSize but received 1099511627776/,
    );
  });

  test("refuses a vocabulary that the embedding does not have", async () => {
    await expectFailure(
      () => load(raw.directory, { ...raw.spec, vocabSize: 41 }),
      "AIR_ERR_MODEL_FORMAT",
      /expected shape \[41, 64\] for token_embedding\.weight but received \[40, 64\]/,
    );
  });

  test("refuses a missing tensor, a second one of a role, and an unknown type", async () => {
    const { files, tensors } = raw.directory;
    await expectFailure(
      () => load({ files, tensors: tensors.filter(({ role }) => role !== "layers.1.attention.k.weight") }),
      "AIR_ERR_MODEL_FORMAT",
      /a tensor for layers\.1\.attention\.k\.weight but received none/,
    );
    await expectFailure(
      () => load({ files, tensors: [...tensors, ...tensors.slice(-1)] }),
      "AIR_ERR_MODEL_FORMAT",
      /one tensor for output\.weight but received two/,
    );
    const unknown = { ...tensors[0], type: "IQ2_XXS" } as unknown as NativeTensorDirectory["tensors"][number];
    await expectFailure(() => load({ files, tensors: [unknown] }), "AIR_ERR_UNSUPPORTED", /IQ2_XXS/);
  });

  test("refuses a spec that it cannot compute", async () => {
    const layerNorm = { ...raw.spec, normKind: "layer" } as unknown as DecoderSpec;
    await expectFailure(
      () => load(raw.directory, layerNorm),
      "AIR_ERR_UNSUPPORTED",
      /for normKind but received "layer"/,
    );
    const wide = { ...raw.spec, headDim: 512 };
    await expectFailure(() => load(raw.directory, wide), "AIR_ERR_UNSUPPORTED", /at most 256 for headDim/);
  });

  test("refuses NaN weights, naming tensor and row", async () => {
    const spoilt = makeRawModel();
    for (const role of [
      "layers.1.feed_forward.down.weight",
      "token_embedding.weight",
      "output_norm.weight",
    ]) {
      const tensor = spoilt.directory.tensors.find((one) => one.role === role);
      const bytes = Uint8Array.from(spoilt.bytes);
      new DataView(bytes.buffer).setFloat32(tensor?.offsetBytes ?? 0, NaN, true);
      writeFileSync(spoilt.path, bytes);
      await expectFailure(
        () => load(spoilt.directory, spoilt.spec),
        "AIR_ERR_MODEL_FORMAT",
        new RegExp(role),
      );
    }
    spoilt.remove();
  });

  test("refuses files that are missing, empty, a directory or shorter than the directory says", async () => {
    const cut = makeRawModel();
    truncateSync(cut.path, 1000);
    await expectFailure(
      () => load(cut.directory, cut.spec),
      "AIR_ERR_MODEL_FORMAT",
      /within the file's 1000 bytes/,
    );
    truncateSync(cut.path, 0);
    await expectFailure(() => load(cut.directory, cut.spec), "AIR_ERR_IO", /readable file/);
    cut.remove();
    await expectFailure(() => load(cut.directory, cut.spec), "AIR_ERR_IO", /No such file/);
    const folder = { ...raw.directory, files: ["."] };
    await expectFailure(() => load(folder), "AIR_ERR_IO", /directory/i);
  });

  test("refuses a device that is not there and a backend that it does not know", async () => {
    vi.stubEnv("AIR_CUDA_LIBRARY", "/no/such/libcuda.so.1");
    await expectFailure(
      () => addon.loadModel(raw.directory, raw.spec, { backend: "cuda" }),
      "AIR_ERR_NO_DEVICE",
      /no\/such|without nvcc/,
    );
    vi.unstubAllEnvs();
    await expectFailure(
      () => addon.loadModel(raw.directory, raw.spec, { backend: "tpu" as "cuda" }),
      "AIR_ERR_ARGUMENT",
      /"cpu" or "cuda" for backend but received "tpu"/,
    );
  });
});
