import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readGguf } from "../../../bench/models/gguf-tensors.js";
import { writeGguf, type MetadataEntry, type TensorToWrite } from "../../../bench/models/gguf-writer.js";

const metadata: readonly MetadataEntry[] = [
  { key: "general.architecture", type: "string", value: "llama" },
  { key: "text", type: "string", value: "caf\u00e9 \u{1F600}" },
  { key: "flag", type: "bool", value: true },
  { key: "count", type: "uint32", value: 2 ** 32 - 1 },
  { key: "signed", type: "int32", value: -5 },
  { key: "ratio", type: "float32", value: 0.5 },
  { key: "wide", type: "uint64", value: 2n ** 60n },
  { key: "strings", type: "array", itemType: "string", value: ["", "a", "\u00e9"] },
  { key: "numbers", type: "array", itemType: "int32", value: [1, -1] },
  { key: "flags", type: "array", itemType: "bool", value: [true, false] },
  { key: "empty", type: "array", itemType: "float32", value: [] },
];

const tensors: readonly TensorToWrite[] = [
  { name: "vector", type: "F32", shape: [3], data: Uint8Array.from({ length: 12 }, (_, i) => i) },
  {
    name: "matrix",
    type: "Q4_0",
    shape: [2, 64],
    *data() {
      yield new Uint8Array(36).fill(1);
      yield new Uint8Array(36).fill(2);
    },
  },
];

describe("writeGguf", () => {
  let path = "";
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "air-gguf-"));
    path = join(folder, "file.gguf");
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  test("writes what a reader gives back: metadata in order, shapes row-major, bytes", async () => {
    await writeGguf(path, { metadata, tensors });
    const model = await readGguf(path);
    expect(model.metadata).toEqual(metadata);
    const matrix = model.tensors.get("matrix");
    expect(matrix).toMatchObject({ type: "Q4_0", shape: [2, 64] });
    expect([...(matrix?.bytes ?? [])]).toEqual([
      ...new Array<number>(36).fill(1),
      ...new Array<number>(36).fill(2),
    ]);
    expect([...(model.tensors.get("vector")?.bytes ?? [])]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });

  test("starts every tensor at a multiple of 32 bytes and pads the last one", async () => {
    await writeGguf(path, { metadata: metadata.slice(0, 1), tensors });
    const file = await readFile(path);
    expect(file.length % 32).toBe(0);
    // The matrix fills 72 of the last 96 bytes, the vector 12 of the 32 before them.
    expect(file.subarray(-96, -95)[0]).toBe(1);
    expect([...file.subarray(-24)]).toEqual(new Array<number>(24).fill(0));
    expect([...file.subarray(-116, -96)]).toEqual(new Array<number>(20).fill(0));
    expect(file[file.length - 117]).toBe(11);
  });

  test.each([
    { name: "too few bytes", bytes: 35 },
    { name: "too many bytes", bytes: 73 },
  ])("refuses a tensor with $name", async ({ bytes }) => {
    const tensor: TensorToWrite = {
      name: "short",
      type: "Q4_0",
      shape: [1, 64],
      data: new Uint8Array(bytes),
    };
    await expect(writeGguf(path, { metadata, tensors: [tensor] })).rejects.toMatchObject({
      code: "AIR_ERR_SHAPE",
      message: `expected 36 bytes for the data of tensor short but received ${String(bytes)}`,
    });
  });

  test("reports progress up to the bytes of all tensors", async () => {
    const calls: (readonly [string, number, number])[] = [];
    await writeGguf(path, { metadata, tensors, onProgress: (...call) => calls.push(call) });
    expect(calls).toEqual([
      ["vector", 12, 84],
      ["matrix", 84, 84],
    ]);
  });
});
