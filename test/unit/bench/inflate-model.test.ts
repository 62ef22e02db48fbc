import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  metadataNumber,
  readGguf,
  tensorValues,
  type SourceModel,
} from "../../../bench/models/gguf-tensors.js";
import { writeGguf, type MetadataEntry, type TensorToWrite } from "../../../bench/models/gguf-writer.js";
import { inflateModel } from "../../../bench/models/inflate-model.js";
import { Noise } from "../../../bench/models/noise.js";
import { quantize } from "../../../bench/models/quantize.js";

const tokens = 8;
const numbers = {
  "llama.embedding_length": 32,
  "llama.block_count": 1,
  "llama.feed_forward_length": 64,
  "llama.rope.dimension_count": 16,
  "llama.attention.head_count": 2,
  "llama.attention.head_count_kv": 1,
  "llama.attention.key_length": 16,
  "llama.attention.value_length": 16,
};
const metadata: readonly MetadataEntry[] = [
  { key: "general.architecture", type: "string", value: "llama" },
  ...Object.entries(numbers).map(([key, value]) => ({ key, type: "uint32", value }) as const),
  { key: "llama.attention.layer_norm_rms_epsilon", type: "float32", value: 2 ** -16 },
  {
    key: "tokenizer.ggml.tokens",
    type: "array",
    itemType: "string",
    value: Array.from({ length: tokens }, (_, id) => `t${String(id)}`),
  },
];
const noise = new Noise();
const tensor = (name: string, shape: readonly number[]): TensorToWrite => ({
  name,
  type: shape.length === 1 ? "F32" : "F16",
  shape,
  data: quantize(shape.length === 1 ? "F32" : "F16", noise.values(shape.reduce((a, b) => a * b, 1))),
});
const tensors: readonly TensorToWrite[] = [
  tensor("token_embd.weight", [tokens, 32]),
  tensor("blk.0.attn_norm.weight", [32]),
  tensor("blk.0.attn_q.weight", [32, 32]),
  tensor("blk.0.attn_k.weight", [16, 32]),
  tensor("blk.0.attn_v.weight", [16, 32]),
  tensor("blk.0.attn_output.weight", [32, 32]),
  tensor("blk.0.ffn_norm.weight", [32]),
  tensor("blk.0.ffn_gate.weight", [64, 32]),
  tensor("blk.0.ffn_up.weight", [64, 32]),
  tensor("blk.0.ffn_down.weight", [32, 64]),
  tensor("output_norm.weight", [32]),
  tensor("output.weight", [tokens, 32]),
];
const shape = { width: 128, layers: 2, queryHeads: 6, kvHeads: 2, headDim: 32, feedForward: 96 };

describe("inflateModel", () => {
  let folder = "";
  let sourcePath = "";
  let targetPath = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "air-inflate-"));
    sourcePath = join(folder, "source.gguf");
    targetPath = join(folder, "target.gguf");
    await writeGguf(sourcePath, { metadata, tensors });
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  /** The rows of a matrix of the inflated model. */
  function rowsOf(model: SourceModel, name: string): readonly (readonly number[])[] {
    const found = model.tensors.get(name);
    const [rows = 0, columns = 0] = found?.shape ?? [];
    const values = found === undefined ? [] : [...tensorValues(found)];
    return Array.from({ length: rows }, (_, row) => values.slice(row * columns, (row + 1) * columns));
  }

  const isZero = (values: readonly number[]): boolean => values.every((value) => value === 0);

  test.each(["F16", "Q8_0", "Q4_0"] as const)(
    "writes zeros to every new residual channel in %s",
    async (type) => {
      await inflateModel(sourcePath, targetPath, { shape, type });
      const model = await readGguf(targetPath);
      const newChannels = rowsOf(model, "token_embd.weight").map((row) => row.slice(32));
      expect(newChannels).toHaveLength(tokens);
      expect(newChannels.every(isZero)).toBe(true);
      for (const name of ["attn_output", "ffn_down"]) {
        const oldLayer = rowsOf(model, `blk.0.${name}.weight`);
        expect(oldLayer.map(isZero)).toEqual(oldLayer.map((_, channel) => channel >= 32));
        const newLayer = rowsOf(model, `blk.1.${name}.weight`);
        expect(newLayer).toHaveLength(shape.width);
        expect(newLayer.every(isZero)).toBe(true);
      }
    },
  );

  test("fills what cannot reach the output with noise, not zeros", async () => {
    await inflateModel(sourcePath, targetPath, { shape, type: "F16" });
    const model = await readGguf(targetPath);
    expect(rowsOf(model, "output.weight").some((row) => isZero(row.slice(32)))).toBe(false);
    expect(rowsOf(model, "blk.0.attn_k.weight").slice(32).some(isZero)).toBe(false);
    expect(rowsOf(model, "blk.1.ffn_gate.weight").some(isZero)).toBe(false);
  });

  test("scales norms by the square root of the width ratio and epsilon by the ratio", async () => {
    await inflateModel(sourcePath, targetPath, { shape, type: "F16" });
    const [source, target] = [await readGguf(sourcePath), await readGguf(targetPath)];
    const norm = (model: SourceModel): Float32Array => {
      const found = model.tensors.get("output_norm.weight");
      return found === undefined ? new Float32Array() : tensorValues(found);
    };
    expect([...norm(target).subarray(0, 32)]).toEqual([...norm(source)].map((value) => value / 2));
    expect(metadataNumber(target, "llama.attention.layer_norm_rms_epsilon")).toBe(2 ** -18);
    expect(metadataNumber(target, "llama.rope.dimension_count")).toBe(32);
  });

  test("appends tokens that repeat the rows of existing ones", async () => {
    await inflateModel(sourcePath, targetPath, { shape, type: "F16", vocab: 20 });
    const model = await readGguf(targetPath);
    const sourceChannels = rowsOf(model, "output.weight").map((row) => row.slice(0, 32));
    expect(sourceChannels).toHaveLength(20);
    expect(sourceChannels[19]).toEqual(sourceChannels[3]);
    const names = model.metadata.find((entry) => entry.key === "tokenizer.ggml.tokens")?.value;
    expect(new Set(names as readonly string[]).size).toBe(20);
  });

  test("counts the parameters that it wrote", async () => {
    const { parameters } = await inflateModel(sourcePath, targetPath, { shape, type: "F16" });
    const layer = 2 * 128 + 2 * (6 * 32 * 128) + 2 * (2 * 32 * 128) + 3 * (96 * 128);
    expect(parameters).toBe(2 * layer + 128 + 2 * tokens * 128);
  });

  test("refuses fewer tokens than the source has", async () => {
    await expect(
      inflateModel(sourcePath, targetPath, { shape, type: "F16", vocab: 7 }),
    ).rejects.toMatchObject({
      code: "AIR_ERR_SHAPE",
    });
  });

  test("refuses tensors that it cannot place", async () => {
    const biasedPath = join(folder, "biased.gguf");
    await writeGguf(biasedPath, { metadata, tensors: [...tensors, tensor("blk.0.attn_q.bias", [32])] });
    await expect(inflateModel(biasedPath, targetPath, { shape, type: "F16" })).rejects.toMatchObject({
      code: "AIR_ERR_UNSUPPORTED",
      message: expect.stringContaining("blk.0.attn_q.bias"),
    });
  });
});
