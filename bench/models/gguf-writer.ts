import { open, type FileHandle } from "node:fs/promises";
import type { TensorType } from "../../lib/native/native.js";
import { invalidArgument } from "../../lib/errors/air-error.js";
import { alignmentBytes, alignUp, tensorBytes, tensorTypes } from "./gguf-format.js";

/** A metadata value that is not an array. uint64 takes a bigint so that no bit is lost. */
export type ScalarValue =
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "uint32" | "int32" | "float32"; readonly value: number }
  | { readonly type: "uint64"; readonly value: bigint };

/** A metadata array; GGUF arrays hold one type. */
export type ArrayValue =
  | { readonly type: "array"; readonly itemType: "string"; readonly value: readonly string[] }
  | { readonly type: "array"; readonly itemType: "bool"; readonly value: readonly boolean[] }
  | {
      readonly type: "array";
      readonly itemType: "uint32" | "int32" | "float32";
      readonly value: readonly number[];
    }
  | { readonly type: "array"; readonly itemType: "uint64"; readonly value: readonly bigint[] };

export type MetadataValue = ScalarValue | ArrayValue;

/** One key of the header; entries are written in the order given. */
export type MetadataEntry = { readonly key: string } & MetadataValue;

/** Tensor bytes, whole or in chunks; chunks let a file of many gigabytes stream through flat memory. */
export type TensorData = Uint8Array | (() => Iterable<Uint8Array> | AsyncIterable<Uint8Array>);

export interface TensorToWrite {
  readonly name: string;
  readonly type: TensorType;
  /** Row-major: [rows, columns] for matrices, [length] for vectors. */
  readonly shape: readonly number[];
  readonly data: TensorData;
}

export interface GgufContent {
  readonly metadata: readonly MetadataEntry[];
  readonly tensors: readonly TensorToWrite[];
  /** Called after each tensor with its name and the bytes of tensor data written so far and in all. */
  readonly onProgress?: (name: string, doneBytes: number, totalBytes: number) => void;
}

const formatVersion = 3;
const valueTypeIds = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9, uint64: 10 } as const;

/**
 * Writes a GGUF v3 file, little-endian, tensor data aligned to 32 bytes.
 * @throws {AirArgumentError} AIR_ERR_SHAPE when a tensor's data does not have the length that its shape asks for.
 */
export async function writeGguf(path: string, content: GgufContent): Promise<void> {
  const header = encodeHeader(content);
  const totalBytes = content.tensors.reduce((sum, tensor) => sum + tensorBytes(tensor.type, tensor.shape), 0);
  const file = await open(path, "w");
  try {
    await file.writeFile(header);
    let doneBytes = 0;
    for (const tensor of content.tensors) {
      doneBytes += await writeTensor(file, tensor);
      content.onProgress?.(tensor.name, doneBytes, totalBytes);
    }
  } finally {
    await file.close();
  }
}

/** The header up to the first byte of tensor data, padding included. */
export function encodeHeader({ metadata, tensors }: GgufContent): Uint8Array {
  const bytes = new ByteSink();
  bytes.text("GGUF");
  bytes.uint32(formatVersion);
  bytes.uint64(BigInt(tensors.length));
  bytes.uint64(BigInt(metadata.length));
  for (const entry of metadata) {
    bytes.string(entry.key);
    bytes.uint32(valueTypeIds[entry.type]);
    encodeValue(bytes, entry);
  }
  let offset = 0;
  for (const tensor of tensors) {
    bytes.string(tensor.name);
    bytes.uint32(tensor.shape.length);
    // GGUF lists the fastest-moving dimension first.
    for (const size of tensor.shape.toReversed()) bytes.uint64(BigInt(size));
    bytes.uint32(tensorTypes[tensor.type].id);
    bytes.uint64(BigInt(offset));
    offset += alignUp(tensorBytes(tensor.type, tensor.shape));
  }
  bytes.padTo(alignmentBytes);
  return bytes.take();
}

function encodeValue(bytes: ByteSink, value: MetadataValue): void {
  switch (value.type) {
    case "string":
      bytes.string(value.value);
      break;
    case "bool":
      bytes.uint8(value.value ? 1 : 0);
      break;
    case "uint32":
      bytes.uint32(value.value);
      break;
    case "int32":
      bytes.int32(value.value);
      break;
    case "float32":
      bytes.float32(value.value);
      break;
    case "uint64":
      bytes.uint64(value.value);
      break;
    case "array":
      bytes.uint32(valueTypeIds[value.itemType]);
      bytes.uint64(BigInt(value.value.length));
      for (const item of value.value)
        encodeValue(bytes, { type: value.itemType, value: item } as ScalarValue);
      break;
  }
}

/** Writes one tensor and its padding; returns its bytes without padding. */
async function writeTensor(file: FileHandle, tensor: TensorToWrite): Promise<number> {
  const expectedBytes = tensorBytes(tensor.type, tensor.shape);
  let written = 0;
  for await (const chunk of tensor.data instanceof Uint8Array ? [tensor.data] : tensor.data()) {
    await file.writeFile(chunk);
    written += chunk.byteLength;
  }
  if (written !== expectedBytes) {
    throw invalidArgument(
      `the data of tensor ${tensor.name}`,
      `${String(expectedBytes)} bytes`,
      written,
      "AIR_ERR_SHAPE",
    );
  }
  await file.writeFile(new Uint8Array(alignUp(written) - written));
  return written;
}

/** A growing little-endian byte buffer. */
class ByteSink {
  #buffer = Buffer.alloc(1 << 16);
  #length = 0;

  uint8(value: number): void {
    this.#length = this.#room(1).writeUInt8(value, this.#length);
  }

  uint32(value: number): void {
    this.#length = this.#room(4).writeUInt32LE(value, this.#length);
  }

  int32(value: number): void {
    this.#length = this.#room(4).writeInt32LE(value, this.#length);
  }

  float32(value: number): void {
    this.#length = this.#room(4).writeFloatLE(value, this.#length);
  }

  uint64(value: bigint): void {
    this.#length = this.#room(8).writeBigUInt64LE(value, this.#length);
  }

  /** UTF-8 with its byte length in front. */
  string(value: string): void {
    this.uint64(BigInt(Buffer.byteLength(value)));
    this.text(value);
  }

  text(value: string): void {
    this.#length += this.#room(Buffer.byteLength(value)).write(value, this.#length);
  }

  padTo(alignment: number): void {
    while (this.#length % alignment !== 0) this.uint8(0);
  }

  take(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  #room(bytes: number): Buffer {
    if (this.#length + bytes > this.#buffer.length) {
      const grown = Buffer.alloc(2 * (this.#length + bytes));
      this.#buffer.copy(grown);
      this.#buffer = grown;
    }
    return this.#buffer;
  }
}
