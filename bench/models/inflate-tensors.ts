import type { TensorType } from "../../lib/native/native.js";
import { rowBytes, tensorTypes } from "./gguf-format.js";
import { tensorValues, type SourceTensor } from "./gguf-tensors.js";
import type { TensorToWrite } from "./gguf-writer.js";
import type { MatrixLayout } from "./layout.js";
import type { Noise } from "./noise.js";
import { quantize, scaleBlocks } from "./quantize.js";

/** Rows are written in chunks of about this size. */
const chunkBytes = 1 << 20;

/** A matrix of the target: source rows where the layout has them, zeros and noise elsewhere. */
export function inflateMatrix(
  name: string,
  type: TensorType,
  layout: MatrixLayout,
  source: SourceTensor | undefined,
  noise: Noise,
): TensorToWrite {
  const bytesPerRow = rowBytes(type, layout.columns);
  const rowsPerChunk = Math.max(1, Math.floor(chunkBytes / bytesPerRow));
  function* chunks(): Generator<Uint8Array> {
    const sourceRow = source === undefined ? undefined : rowMaker(type, layout, source, noise);
    const zeroRow = quantize(type, new Float32Array(layout.columns));
    for (let first = 0; first < layout.rows; first += rowsPerChunk) {
      const rows = Math.min(rowsPerChunk, layout.rows - first);
      const chunk = new Uint8Array(rows * bytesPerRow);
      for (let i = 0; i < rows; i++) {
        const origin = layout.rowOrigin(first + i);
        let row = zeroRow;
        if (origin === "noise") row = noise.row(type, layout.columns);
        else if (origin !== "zero" && sourceRow !== undefined) row = sourceRow(origin);
        chunk.set(row, i * bytesPerRow);
      }
      yield chunk;
    }
  }
  return { name, type, shape: [layout.rows, layout.columns], data: chunks };
}

/** A norm's weights. RMSNorm divides by the mean square, which the zero channels shrink by `ratio`. */
export function inflateNorm(
  name: string,
  width: number,
  ratio: number,
  source: SourceTensor | undefined,
): TensorToWrite {
  const values = new Float32Array(width).fill(1);
  if (source !== undefined) values.set(tensorValues(source).map((value) => value * Math.sqrt(ratio)));
  return { name, type: "F32", shape: [width], data: quantize("F32", values) };
}

/** Encodes the target row that holds a source row; copies blocks unchanged where types and places allow. */
function rowMaker(
  type: TensorType,
  layout: MatrixLayout,
  source: SourceTensor,
  noise: Noise,
): (sourceRow: number) => Uint8Array {
  const { blockValues } = tensorTypes[type];
  const aligned = layout.columnRuns.every((run) =>
    [run.from, run.to, run.length].every((column) => column % blockValues === 0),
  );
  return source.type === type && aligned
    ? blockCopier(type, layout, source, noise)
    : floatEncoder(type, layout, source, noise);
}

function blockCopier(type: TensorType, layout: MatrixLayout, source: SourceTensor, noise: Noise) {
  const sourceRowBytes = rowBytes(type, source.shape.at(-1) ?? 0);
  const zeroRow = quantize(type, new Float32Array(layout.columns));
  return (sourceRow: number): Uint8Array => {
    const row = (layout.otherColumns === "zero" ? zeroRow : noise.row(type, layout.columns)).slice();
    for (const run of layout.columnRuns) {
      const start = sourceRow * sourceRowBytes + rowBytes(type, run.from);
      const blocks = source.bytes.slice(start, start + rowBytes(type, run.length));
      scaleBlocks(type, blocks, layout.factor);
      row.set(blocks, rowBytes(type, run.to));
    }
    return row;
  };
}

function floatEncoder(type: TensorType, layout: MatrixLayout, source: SourceTensor, noise: Noise) {
  const values = tensorValues(source);
  const sourceColumns = source.shape.at(-1) ?? 0;
  return (sourceRow: number): Uint8Array => {
    const row = new Float32Array(layout.columns);
    if (layout.otherColumns === "noise") row.set(noise.values(layout.columns));
    for (const run of layout.columnRuns) {
      const start = sourceRow * sourceColumns + run.from;
      for (let i = 0; i < run.length; i++) row[run.to + i] = (values[start + i] ?? 0) * layout.factor;
    }
    return quantize(type, row);
  };
}
