import { open, stat, type FileHandle } from "node:fs/promises";

import { gguf, type GGUFTensorInfo } from "@huggingface/gguf";

import { AirError, invalidArgument, ioError, reasonOf } from "../errors/air-error.js";
import { guardGgufHeader, type StringRepair } from "./gguf-guard.js";
import { getInteger, type Metadata, type MetadataValue } from "./metadata.js";
import { formatError, unsupported } from "./model-errors.js";
import { tensorTypeLayout } from "./tensor-types.js";

/** One tensor of a model file, under the file's own name. */
export interface FileTensor {
  readonly name: string;
  /** Storage type by its GGUF name, such as `Q4_0`. */
  readonly type: string;
  /** Row-major: [rows, cols] for matrices, [length] for vectors (GGUF stores dimensions reversed). */
  readonly shape: readonly number[];
  /** From the start of the file. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** The header of a model file, checked against the file's size. */
export interface ModelFile {
  readonly path: string;
  readonly fileBytes: number;
  /** Length of the header, without the padding before the tensor data. */
  readonly headerBytes: number;
  readonly metadata: Metadata;
  /** In file order; ranges lie in the file and do not overlap. */
  readonly tensors: readonly FileTensor[];
}

const defaultAlignmentBytes = 32;
const maxAlignmentBytes = 1 << 20;
// Counts that the library adds to the metadata under names of its own.
const libraryKeys: readonly string[] = ["version", "tensor_count", "kv_count"];

/**
 * Reads and checks the header of a GGUF file (version 2 or 3); no tensor data is read.
 *
 * @throws {AirError} AIR_ERR_IO when the file is missing, no regular file or unreadable; AIR_ERR_MODEL_FORMAT when it is
 * truncated, damaged or contradicts itself; AIR_ERR_UNSUPPORTED for another version, byte order or tensor type.
 */
export async function readGguf(path: string): Promise<ModelFile> {
  const handle = await openFile(path);
  try {
    const { size: fileBytes } = await handle.stat();
    const repairs = guardHeader(handle, fileBytes, path);
    const header = await parseHeader(path);
    const metadata = collectMetadata(header.metadata as object as Readonly<Record<string, unknown>>, repairs);
    const [, headerBytes] = header.tensorInfoByteRange;
    const tensors = collectTensors(header.tensorInfos, metadata, headerBytes, fileBytes);
    return { path, fileBytes, headerBytes, metadata, tensors };
  } finally {
    await handle.close();
  }
}

/** Opens a regular file; looks before it opens, because opening a pipe waits for a writer. */
async function openFile(path: string): Promise<FileHandle> {
  if (typeof path !== "string" || path.length === 0 || path.includes("\0")) {
    throw invalidArgument("the model path", "a file path", path);
  }
  let kind: string;
  try {
    const stats = await stat(path);
    if (stats.isFile()) return await open(path, "r");
    kind = stats.isDirectory() ? "a directory" : "a special file";
  } catch (error) {
    throw ioError(path, "a readable file", error);
  }
  throw new AirError("AIR_ERR_IO", `expected a regular file for ${path} but received ${kind}`);
}

function guardHeader(handle: FileHandle, fileBytes: number, path: string): readonly StringRepair[] {
  try {
    return guardGgufHeader(handle.fd, fileBytes);
  } catch (error) {
    if (error instanceof AirError) throw error;
    throw ioError(path, "a readable file", error);
  }
}

async function parseHeader(path: string) {
  // The library takes anything that looks like a URL from the network; a path must never become one.
  const localPath = /^https?:\/\//.test(path) ? `./${path}` : path;
  try {
    return await gguf(localPath, { allowLocalFile: true });
  } catch (error) {
    throw formatError(path, "a GGUF header", reasonOf(error), error);
  }
}

function collectMetadata(raw: Readonly<Record<string, unknown>>, repairs: readonly StringRepair[]): Metadata {
  const metadata = new Map<string, MetadataValue>();
  for (const [key, value] of Object.entries(raw)) {
    if (!libraryKeys.includes(key)) metadata.set(key, toMetadataValue(value));
  }
  for (const { key, index, value } of repairs) {
    const array = metadata.get(key);
    if (index === undefined) metadata.set(key, value);
    else if (Array.isArray(array)) array[index] = value;
  }
  return metadata;
}

/** Takes the library's value over, with integers as numbers where those are exact. */
function toMetadataValue(value: unknown): MetadataValue {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (Array.isArray(value)) {
    return typeof value[0] === "bigint" ? value.map(toMetadataValue) : (value as readonly MetadataValue[]);
  }
  return value as string | number | boolean;
}

function collectTensors(
  infos: readonly GGUFTensorInfo[],
  metadata: Metadata,
  headerBytes: number,
  fileBytes: number,
): readonly FileTensor[] {
  const alignment = getInteger(
    metadata,
    "general.alignment",
    { minimum: 1, maximum: maxAlignmentBytes },
    defaultAlignmentBytes,
  );
  if ((alignment & (alignment - 1)) !== 0) {
    throw formatError("metadata general.alignment", "a power of two", alignment);
  }
  const dataStart = Math.ceil(headerBytes / alignment) * alignment;
  const names = new Set<string>();
  const tensors = infos.map((info) => {
    if (names.has(info.name)) throw formatError("tensor names", "each name once", info.name);
    names.add(info.name);
    return placeTensor(info, alignment, dataStart, fileBytes);
  });
  checkOverlaps(tensors);
  return tensors;
}

function placeTensor(
  info: GGUFTensorInfo,
  alignment: number,
  dataStart: number,
  fileBytes: number,
): FileTensor {
  const { name } = info;
  const layout = tensorTypeLayout(info.dtype);
  if (layout === undefined) throw unsupported(`type of tensor ${name}`, "a known tensor type", info.dtype);
  const shape = info.shape.map(Number).reverse();
  const elements = shape.reduce((product, length) => product * length, 1);
  const cols = shape.at(-1) ?? 0;
  if (elements < 1 || !Number.isSafeInteger(elements * layout.bytes)) {
    throw formatError(
      `shape of tensor ${name}`,
      "positive dimensions that fit in a file",
      `[${shape.join(", ")}]`,
    );
  }
  if (cols % layout.elements !== 0) {
    const expected = `a multiple of ${String(layout.elements)}, the block length of ${layout.name},`;
    throw formatError(`row length of tensor ${name}`, expected, cols);
  }
  const relative = Number(info.offset);
  if (relative % alignment !== 0) {
    throw formatError(`offset of tensor ${name}`, `a multiple of ${String(alignment)}`, relative);
  }
  const lengthBytes = (elements / layout.elements) * layout.bytes;
  const offsetBytes = dataStart + relative;
  if (offsetBytes + lengthBytes > fileBytes) {
    const received = `bytes ${String(offsetBytes)} to ${String(offsetBytes + lengthBytes)}`;
    throw formatError(
      `data of tensor ${name}`,
      `a range within the ${String(fileBytes)} bytes of the file`,
      received,
    );
  }
  return { name, type: layout.name, shape, offsetBytes, lengthBytes };
}

function checkOverlaps(tensors: readonly FileTensor[]): void {
  const ordered = [...tensors].sort((a, b) => a.offsetBytes - b.offsetBytes);
  for (const [i, tensor] of ordered.entries()) {
    const next = ordered[i + 1];
    if (next !== undefined && tensor.offsetBytes + tensor.lengthBytes > next.offsetBytes) {
      throw formatError(
        `data of tensor ${next.name}`,
        `bytes of its own`,
        `bytes shared with ${tensor.name}`,
      );
    }
  }
}
