import { readFile } from "node:fs/promises";
import { gguf, GGUFValueType } from "@huggingface/gguf";
import { AirError, invalidArgument } from "../../lib/errors/air-error.js";
import type { TensorType } from "../../lib/native/native.js";
import { dequantize } from "./dequantize.js";
import { tensorBytes, tensorTypes } from "./gguf-format.js";
import type { MetadataEntry, MetadataValue } from "./gguf-writer.js";

export interface SourceTensor {
  readonly name: string;
  readonly type: TensorType;
  /** Row-major. */
  readonly shape: readonly number[];
  /** The tensor's bytes as they lie in the file. */
  readonly bytes: Uint8Array;
}

/** A small GGUF file, wholly in memory. */
export interface SourceModel {
  readonly metadata: readonly MetadataEntry[];
  readonly tensors: ReadonlyMap<string, SourceTensor>;
}

/** Reads a GGUF file of up to 2 GiB. */
export async function readGguf(path: string): Promise<SourceModel> {
  const [header, file] = await Promise.all([
    gguf(path, { typedMetadata: true, allowLocalFile: true }),
    readFile(path),
  ]);
  // The parser adds its own three counts in front of the file's keys.
  const counts = new Set(["version", "tensor_count", "kv_count"]);
  const metadata = Object.entries(header.typedMetadata)
    .filter(([key]) => !counts.has(key))
    .map(([key, entry]) => ({ key, ...toMetadataValue(key, entry) }));
  const dataStart = Number(header.tensorDataOffset);
  const tensors = header.tensorInfos.map((info): SourceTensor => {
    const type = typeOf(info.name, info.dtype);
    const shape = info.shape.map(Number).reverse();
    const start = dataStart + Number(info.offset);
    return { name: info.name, type, shape, bytes: file.subarray(start, start + tensorBytes(type, shape)) };
  });
  return { metadata, tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])) };
}

/** The tensor's values, row-major. */
export function tensorValues(tensor: SourceTensor): Float32Array {
  return dequantize(tensor.type, tensor.bytes);
}

/** The number stored under `key`. @throws {AirError} AIR_ERR_MODEL_FORMAT when there is none. */
export function metadataNumber(model: SourceModel, key: string): number {
  const entry = model.metadata.find((candidate) => candidate.key === key);
  if (typeof entry?.value !== "number") {
    throw new AirError(
      "AIR_ERR_MODEL_FORMAT",
      `expected a number for ${key} but received ${String(entry?.value)}`,
    );
  }
  return entry.value;
}

function typeOf(name: string, id: number): TensorType {
  for (const [type, info] of Object.entries(tensorTypes)) if (info.id === id) return type as TensorType;
  const expected = `one of ${Object.keys(tensorTypes).join(", ")}`;
  throw invalidArgument(`the type of tensor ${name}`, expected, id, "AIR_ERR_UNSUPPORTED");
}

const valueTypes = {
  [GGUFValueType.UINT32]: "uint32",
  [GGUFValueType.INT32]: "int32",
  [GGUFValueType.FLOAT32]: "float32",
  [GGUFValueType.BOOL]: "bool",
  [GGUFValueType.STRING]: "string",
  [GGUFValueType.UINT64]: "uint64",
} as const;

interface ParsedEntry {
  readonly value: unknown;
  readonly type: GGUFValueType;
  readonly subType?: GGUFValueType | undefined;
}

function toMetadataValue(key: string, entry: ParsedEntry): MetadataValue {
  const isArray = entry.type === GGUFValueType.ARRAY;
  const type = (valueTypes as Readonly<Partial<Record<GGUFValueType, string>>>)[
    (isArray ? entry.subType : entry.type) ?? GGUFValueType.UINT32
  ];
  if (type === undefined) {
    throw invalidArgument(
      `the value type of ${key}`,
      "a type that the writer knows",
      entry.type,
      "AIR_ERR_UNSUPPORTED",
    );
  }
  // The parser decoded the value by the very type named here.
  return (
    isArray ? { type: "array", itemType: type, value: entry.value } : { type, value: entry.value }
  ) as MetadataValue;
}
