import { scaleBlocks } from "../../bench/models/quantize.js";
import { readGguf, type SourceTensor } from "../../bench/models/gguf-tensors.js";
import { writeGguf } from "../../bench/models/gguf-writer.js";
import { shapeOf } from "../../bench/models/shapes.js";

/** The tensor with the first pair of rotated rows of every head times `factor`. */
function scaleFirstPairs(tensor: SourceTensor, headDim: number, factor: number): Uint8Array {
  const [rows = 0] = tensor.shape;
  const bytes = Uint8Array.from(tensor.bytes);
  const rowBytes = bytes.length / rows;
  for (let row = 0; row < rows; row += headDim) {
    scaleBlocks(tensor.type, bytes.subarray(row * rowBytes, (row + 2) * rowBytes), factor);
  }
  return bytes;
}

/**
 * Writes a model that computes what the one at `source` does, with outliers in its keys: two dims of every head, which RoPE
 * rotates together, are `factor` times as large, and those of the queries as much smaller. A power of two rounds nothing
 * but tiny scales.
 */
export async function writeOutlierModel(source: string, target: string, factor: number): Promise<void> {
  const model = await readGguf(source);
  const { headDim } = shapeOf(model);
  const factors: Readonly<Record<string, number>> = { attn_k: factor, attn_q: 1 / factor };
  await writeGguf(target, {
    metadata: model.metadata,
    tensors: [...model.tensors.values()].map((tensor) => {
      const [, matrix = ""] = /^blk\.\d+\.(\w+)\.weight$/.exec(tensor.name) ?? [];
      const scale = factors[matrix];
      const data = scale === undefined ? tensor.bytes : scaleFirstPairs(tensor, headDim, scale);
      return { name: tensor.name, type: tensor.type, shape: tensor.shape, data };
    }),
  });
}
