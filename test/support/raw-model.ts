import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { DecoderSpec, NativeTensor, NativeTensorDirectory } from "../../lib/native/native.js";
import { uniform } from "../../lib/util/rng.js";

/** A random float32 decoder in a temporary file of raw tensors: what the native surface needs, and no more. */
export interface RawModel {
  readonly spec: DecoderSpec;
  readonly directory: NativeTensorDirectory;
  /** The file's bytes; rewrite the file to spoil it. */
  readonly bytes: Uint8Array;
  readonly path: string;
  remove(): void;
}

const width = 64;
const headDim = 32;
const queryHeads = 2;
const kvHeads = 1;
const feedForwardLength = 96;
const vocabSize = 40;

/** Writes the file; call remove() when done. */
export function makeRawModel(layers = 2): RawModel {
  const folder = mkdtempSync(join(tmpdir(), "air-raw-"));
  const path = join(folder, "weights.bin");
  const tensors: NativeTensor[] = [];
  const values: number[] = [];
  const add = (role: string, shape: readonly number[], mean: number, scale: number): void => {
    const count = shape.reduce((product, size) => product * size, 1);
    const offsetBytes = values.length * Float32Array.BYTES_PER_ELEMENT;
    const lengthBytes = count * Float32Array.BYTES_PER_ELEMENT;
    tensors.push({ role, type: "F32", shape, file: 0, offsetBytes, lengthBytes });
    for (let i = 0; i < count; i += 1)
      values.push(mean + scale * (2 * uniform(1, values.length, "sample") - 1));
  };
  const matrix = (role: string, rows: number, cols: number): void => {
    add(role, [rows, cols], 0, 1.7 / Math.sqrt(cols));
  };
  add("token_embedding.weight", [vocabSize, width], 0, 1);
  for (let layer = 0; layer < layers; layer += 1) {
    const role = `layers.${layer}`;
    add(`${role}.attention_norm.weight`, [width], 1, 0.2);
    matrix(`${role}.attention.q.weight`, queryHeads * headDim, width);
    matrix(`${role}.attention.k.weight`, kvHeads * headDim, width);
    matrix(`${role}.attention.v.weight`, kvHeads * headDim, width);
    matrix(`${role}.attention.o.weight`, width, queryHeads * headDim);
    add(`${role}.feed_forward_norm.weight`, [width], 1, 0.2);
    matrix(`${role}.feed_forward.gate.weight`, feedForwardLength, width);
    matrix(`${role}.feed_forward.up.weight`, feedForwardLength, width);
    matrix(`${role}.feed_forward.down.weight`, width, feedForwardLength);
  }
  add("output_norm.weight", [width], 1, 0.2);
  matrix("output.weight", vocabSize, width);
  const bytes = new Uint8Array(Float32Array.from(values).buffer);
  writeFileSync(path, bytes);
  const spec: DecoderSpec = {
    layers,
    embeddingLength: width,
    queryHeads,
    kvHeads,
    headDim,
    feedForwardLength,
    vocabSize,
    normKind: "rms",
    normEpsilon: 1e-5,
    activation: "silu",
    rope: {
      pairing: "interleaved",
      dimensions: headDim,
      inverseFrequencies: Float64Array.from({ length: headDim / 2 }, (_, pair) => 100 ** (-pair / 16)),
      attentionFactor: 1,
    },
    tiedOutput: false,
  };
  return {
    spec,
    directory: { files: [path], tensors },
    bytes,
    path,
    remove: () => {
      rmSync(folder, { recursive: true });
    },
  };
}
