import { describe, expect, test } from "vitest";

import { describeModel } from "../../../lib/model/architecture.js";
import { readGguf, type FileTensor, type ModelFile } from "../../../lib/model/gguf.js";
import type { MetadataValue } from "../../../lib/model/metadata.js";
import { airError, bundledModel, useScratch } from "./gguf-bytes.js";

/** Two layers, 4 query heads over 2 KV heads of 8, an embedding of 32 and a vocabulary of 10. */
const metadata: Readonly<Record<string, MetadataValue>> = {
  "general.architecture": "llama",
  "general.name": "tiny",
  "llama.block_count": 2,
  "llama.embedding_length": 32,
  "llama.feed_forward_length": 64,
  "llama.attention.head_count": 4,
  "llama.attention.head_count_kv": 2,
  "llama.attention.layer_norm_rms_epsilon": 1e-5,
  "llama.context_length": 128,
  "tokenizer.ggml.tokens": Array.from({ length: 10 }, (_, i) => `t${String(i)}`),
};

const layerShapes: Readonly<Record<string, readonly number[]>> = {
  "attn_norm.weight": [32],
  "attn_q.weight": [32, 32],
  "attn_k.weight": [16, 32],
  "attn_v.weight": [16, 32],
  "attn_output.weight": [32, 32],
  "ffn_norm.weight": [32],
  "ffn_gate.weight": [64, 32],
  "ffn_up.weight": [64, 32],
  "ffn_down.weight": [32, 64],
};

const shapes: Readonly<Record<string, readonly number[]>> = {
  "token_embd.weight": [10, 32],
  "output_norm.weight": [32],
  "output.weight": [10, 32],
  ...Object.fromEntries(
    [0, 1].flatMap((layer) =>
      Object.entries(layerShapes).map(([name, shape]) => [`blk.${String(layer)}.${name}`, shape]),
    ),
  ),
};

interface Changes {
  readonly path?: string;
  readonly metadata?: Readonly<Record<string, MetadataValue | undefined>>;
  /** By tensor name: another shape, or undefined to leave the tensor out. */
  readonly shapes?: Readonly<Record<string, readonly number[] | undefined>>;
  readonly types?: Readonly<Record<string, string>>;
}

function modelFile(changes: Changes = {}): ModelFile {
  const pairs = Object.entries({ ...metadata, ...changes.metadata });
  const tensors = Object.entries({ ...shapes, ...changes.shapes }).flatMap(([name, shape]): FileTensor[] => {
    if (shape === undefined) return [];
    const lengthBytes = 4 * shape.reduce((product, length) => product * length, 1);
    return [{ name, type: changes.types?.[name] ?? "F32", shape, offsetBytes: 0, lengthBytes }];
  });
  return {
    path: changes.path ?? "tiny.gguf",
    fileBytes: 1 << 20,
    headerBytes: 0,
    metadata: new Map(pairs.filter((entry): entry is [string, MetadataValue] => entry[1] !== undefined)),
    tensors,
  };
}

describe("describeModel", () => {
  test("maps a bundled model to a spec and roles", async () => {
    const model = await describeModel(await readGguf(bundledModel("air-tiny-chat-q4_0.gguf")));
    expect(model).toMatchObject({
      architecture: "llama",
      name: "air-tiny-chat",
      parameterCount: 8_392_960,
      trainedContext: 1024,
      spec: {
        layers: 8,
        embeddingLength: 256,
        queryHeads: 8,
        kvHeads: 4,
        headDim: 32,
        feedForwardLength: 768,
        vocabSize: 4096,
        tiedOutput: false,
        rope: { pairing: "interleaved", dimensions: 32, attentionFactor: 1 },
      },
    });
    expect(model.spec.rope.inverseFrequencies).toHaveLength(16);
    expect(model.directory.tensors).toHaveLength(75);
    expect(
      model.directory.tensors.find(({ role }) => role === "layers.7.feed_forward.down.weight"),
    ).toMatchObject({
      type: "Q4_0",
      shape: [256, 768],
      file: 0,
    });
  });

  test("sees a tied output where the file has no output matrix", async () => {
    const model = await describeModel(await readGguf(bundledModel("air-tiny-chat-draft-q8_0.gguf")));
    expect(model.spec.tiedOutput).toBe(true);
    expect(model.directory.tensors.some(({ role }) => role === "output.weight")).toBe(false);
  });

  test("takes optional biases", async () => {
    const file = modelFile({ shapes: { "blk.1.attn_k.bias": [16], "blk.0.ffn_down.bias": [32] } });
    const roles = (await describeModel(file)).directory.tensors.map(({ role }) => role);
    expect(roles).toContain("layers.1.attention.k.bias");
    expect(roles).toContain("layers.0.feed_forward.down.bias");
  });

  test("defaults KV heads to query heads and takes the head length from the file", async () => {
    const wide = Object.fromEntries(
      [0, 1].flatMap((layer) =>
        ["q", "k", "v"].map((name) => [`blk.${String(layer)}.attn_${name}.weight`, [64, 32]] as const),
      ),
    );
    const file = modelFile({
      metadata: { "llama.attention.head_count_kv": undefined, "llama.attention.key_length": 16 },
      shapes: { ...wide, "blk.0.attn_output.weight": [32, 64], "blk.1.attn_output.weight": [32, 64] },
    });
    expect((await describeModel(file)).spec).toMatchObject({ kvHeads: 4, headDim: 16 });
  });

  test("ignores tensors outside the decoder", async () => {
    const file = modelFile({ shapes: { "v.patch_embd.weight": [3, 4], "mm.0.weight": [8, 8] } });
    expect((await describeModel(file)).directory.tensors).toHaveLength(21);
  });

  test("reads linear and YaRN scaling", async () => {
    const linear = await describeModel(modelFile({ metadata: { "llama.rope.scaling.factor": 4 } }));
    expect(linear.spec.rope.inverseFrequencies[0]).toBe(0.25);
    const yarn = await describeModel(
      modelFile({ metadata: { "llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4 } }),
    );
    expect(yarn.spec.rope.attentionFactor).toBeCloseTo(1 + 0.1 * Math.log(4), 12);
  });
});

describe("describeModel with rope_freqs.weight", () => {
  const write = useScratch();
  const withFactors = (factors: readonly number[]): ModelFile => {
    const path = write(new Uint8Array(Float32Array.from(factors).buffer));
    return modelFile({ path, shapes: { "rope_freqs.weight": [factors.length] } });
  };

  test("divides the angles by the file's factors", async () => {
    const { spec } = await describeModel(withFactors([1, 2, 4, 8]));
    expect(Array.from(spec.rope.inverseFrequencies, (angle) => Number(angle.toFixed(12)))).toEqual([
      1, 0.05, 0.0025, 0.000125,
    ]);
  });

  test.each([
    ["zero", [1, 0, 1, 1]],
    ["not finite", [1, Number.NaN, 1, 1]],
    ["too few", [1, 1]],
  ])("refuses factors that are %s", async (_, factors) => {
    expect((await airError(() => describeModel(withFactors(factors)))).code).toBe("AIR_ERR_MODEL_FORMAT");
  });

  test("reports a file that is gone with AIR_ERR_IO", async () => {
    const file = modelFile({ path: "/no/such/file", shapes: { "rope_freqs.weight": [4] } });
    expect((await airError(() => describeModel(file))).code).toBe("AIR_ERR_IO");
  });
});

describe("describeModel on files that contradict themselves", () => {
  const cases: readonly (readonly [string, Changes, RegExp])[] = [
    ["a missing tensor", { shapes: { "blk.1.ffn_up.weight": undefined } }, /blk\.1\.ffn_up\.weight/],
    ["a missing key", { metadata: { "llama.block_count": undefined } }, /llama\.block_count/],
    ["a key of another type", { metadata: { "llama.block_count": "2" } }, /llama\.block_count.*"2"/],
    ["a transposed matrix", { shapes: { "blk.0.ffn_down.weight": [64, 32] } }, /\[32, 64\].*\[64, 32\]/],
    [
      "an embedding of another vocabulary",
      { shapes: { "token_embd.weight": [11, 32] } },
      /\[10, 32\].*\[11, 32\]/,
    ],
    ["a vocab_size that is not the tokens'", { metadata: { "llama.vocab_size": 11 } }, /10.*vocab_size.*11/],
    [
      "KV heads that do not divide the query heads",
      { metadata: { "llama.attention.head_count_kv": 3 } },
      /kv.*3/,
    ],
    ["an odd rope dimension", { metadata: { "llama.rope.dimension_count": 7 } }, /even.*7/],
    ["rope dimensions beyond the head", { metadata: { "llama.rope.dimension_count": 10 } }, /8.*10/],
    ["an epsilon of zero", { metadata: { "llama.attention.layer_norm_rms_epsilon": 0 } }, /epsilon/],
  ];

  test.each(cases)("refuses %s and names it", async (_, changes, message) => {
    const error = await airError(() => describeModel(modelFile(changes)));
    expect(error.code).toBe("AIR_ERR_MODEL_FORMAT");
    expect(error.message).toMatch(message);
  });
});

describe("describeModel on models that the runtime cannot compute", () => {
  const cases: readonly (readonly [string, Changes, RegExp])[] = [
    ["another architecture", { metadata: { "general.architecture": "mamba" } }, /"mamba"/],
    ["experts", { metadata: { "llama.expert_count": 8 } }, /expert_count/],
    ["expert tensors", { shapes: { "blk.0.ffn_gate_inp.weight": [8, 32] } }, /ffn_gate_inp/],
    ["a norm bias", { shapes: { "output_norm.bias": [32] } }, /output_norm\.bias/],
    ["value heads of another length", { metadata: { "llama.attention.value_length": 4 } }, /value_length/],
    [
      "rope scaling of an unknown kind",
      { metadata: { "llama.rope.scaling.type": "longrope" } },
      /"longrope"/,
    ],
    ["a weight type without kernels", { types: { "blk.0.attn_q.weight": "IQ2_XS" } }, /attn_q.*"IQ2_XS"/],
    ["a quantised norm", { types: { "output_norm.weight": "Q8_0" } }, /output_norm.*"Q8_0"/],
  ];

  test.each(cases)("refuses %s with AIR_ERR_UNSUPPORTED", async (_, changes, message) => {
    const error = await airError(() => describeModel(modelFile(changes)));
    expect(error.code).toBe("AIR_ERR_UNSUPPORTED");
    expect(error.message).toMatch(message);
  });
});
