import { rowBytes } from "../models/gguf-format.js";
import { readGguf } from "../models/gguf-tensors.js";
import { writeGguf, type TensorToWrite } from "../models/gguf-writer.js";
import { Noise } from "../models/noise.js";

/**
 * Writes a model of the same sizes, types and vocabulary whose matrices are noise: the worst draft model there is,
 * at the price of the source. Its norms stay, so that its activations are finite.
 */
export async function writeRandomModel(sourcePath: string, targetPath: string): Promise<void> {
  const { metadata, tensors } = await readGguf(sourcePath);
  const noise = new Noise();
  const random = [...tensors.values()].map(({ name, type, shape, bytes }): TensorToWrite => {
    const [rows = 0, columns] = shape;
    if (columns === undefined) return { name, type, shape, data: bytes };
    const bytesPerRow = rowBytes(type, columns);
    const data = new Uint8Array(rows * bytesPerRow);
    for (let row = 0; row < rows; row += 1) data.set(noise.row(type, columns), row * bytesPerRow);
    return { name, type, shape, data };
  });
  await writeGguf(targetPath, { metadata, tensors: random });
}
