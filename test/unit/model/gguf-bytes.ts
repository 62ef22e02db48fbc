import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect } from "vitest";

import { AirError } from "../../../lib/errors/air-error.js";

/** Raw pieces of a GGUF file, for headers that no proper writer would produce. */
export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

export const u64 = (value: bigint | number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};

export const str = (text: string): Buffer => Buffer.concat([u64(Buffer.byteLength(text)), Buffer.from(text)]);

export const ggufTypes = { uint32: 4, float32: 6, string: 8, array: 9, uint64: 10 } as const;

export const pair = (key: string, type: number, value: Buffer): Buffer =>
  Buffer.concat([str(key), u32(type), value]);

export interface RawTensor {
  readonly name: string;
  /** As in the file: fastest-moving dimension first. */
  readonly dimensions: readonly (number | bigint)[];
  readonly type: number;
  readonly offset: number;
}

export interface RawFile {
  readonly version?: number;
  readonly pairs?: readonly Buffer[];
  readonly tensors?: readonly RawTensor[];
  readonly dataBytes?: number;
  readonly tensorCount?: bigint;
  readonly pairCount?: bigint;
}

/** A GGUF file of these parts, with zeros as tensor data. Counts follow from the parts unless given. */
export function rawGguf(file: RawFile): Buffer {
  const { version = 3, pairs = [], tensors = [], dataBytes = 0 } = file;
  const header = Buffer.concat([
    Buffer.from("GGUF"),
    u32(version),
    u64(file.tensorCount ?? tensors.length),
    u64(file.pairCount ?? pairs.length),
    ...pairs,
    ...tensors.map(({ name, dimensions, type, offset }) =>
      Buffer.concat([str(name), u32(dimensions.length), ...dimensions.map(u64), u32(type), u64(offset)]),
    ),
  ]);
  const padding = (32 - (header.length % 32)) % 32;
  return Buffer.concat([header, Buffer.alloc(padding + dataBytes)]);
}

/** A folder for one test file, removed after its tests; returns a function that writes a file into it. */
export function useScratch(): (bytes: Uint8Array) => string {
  const folder = mkdtempSync(join(tmpdir(), "air-model-"));
  let count = 0;
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });
  return (bytes) => {
    const path = join(folder, `${String(count++)}.gguf`);
    writeFileSync(path, bytes);
    return path;
  };
}

/** Path of a model in the package's models/ folder. */
export function bundledModel(name: string): string {
  return fileURLToPath(new URL(`../../../models/${name}`, import.meta.url));
}

/** Runs `work`, which must fail with an AirError, and returns that. */
export async function airError(work: () => unknown): Promise<AirError> {
  try {
    await work();
  } catch (error) {
    expect(error).toBeInstanceOf(AirError);
    return error as AirError;
  }
  return expect.fail("expected an AirError but nothing was thrown");
}
