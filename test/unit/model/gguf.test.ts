import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";

import { readGguf } from "../../../lib/model/gguf.js";
import { getNumber, getString, getStringArray } from "../../../lib/model/metadata.js";
import { airError, bundledModel, ggufTypes, pair, rawGguf, str, u32, u64, useScratch } from "./gguf-bytes.js";
import type { RawTensor } from "./gguf-bytes.js";

const write = useScratch();
const chatModel = bundledModel("air-tiny-chat-q4_0.gguf");
const f32 = 0;
const q4 = 2;

/** A 4 x 32 matrix of float32: 512 bytes. */
const matrix: RawTensor = { name: "w", dimensions: [32, 4], type: f32, offset: 0 };

describe("readGguf", () => {
  test("reads metadata and tensors of a bundled model", async () => {
    const file = await readGguf(chatModel);
    expect(getString(file.metadata, "general.architecture")).toBe("llama");
    expect(getNumber(file.metadata, "llama.block_count")).toBe(8);
    expect(getStringArray(file.metadata, "tokenizer.ggml.tokens")).toHaveLength(4096);
    expect(file.metadata.has("kv_count")).toBe(false);
    expect(file.tensors).toHaveLength(75);
    expect(file.tensors.find(({ name }) => name === "blk.0.attn_k.weight")).toMatchObject({
      type: "Q4_0",
      shape: [128, 256], // rows, columns: reversed from the file
      lengthBytes: (128 * 256 * 18) / 32,
    });
    const last = file.tensors.at(-1);
    expect((last?.offsetBytes ?? 0) + (last?.lengthBytes ?? 0)).toBeLessThanOrEqual(file.fileBytes);
  });

  test("gives byte offsets from the start of the file", async () => {
    const bytes = rawGguf({ tensors: [matrix], dataBytes: 512 });
    const file = await readGguf(write(bytes));
    expect(file.tensors[0]?.offsetBytes).toBe(bytes.length - 512);
  });

  test("accepts version 2 and honours general.alignment", async () => {
    const pairs = [pair("general.alignment", ggufTypes.uint32, u32(64))];
    const tensors = [matrix, { ...matrix, name: "x", offset: 512 }];
    const file = await readGguf(write(rawGguf({ version: 2, pairs, tensors, dataBytes: 1100 })));
    expect(file.tensors.map(({ offsetBytes }) => offsetBytes % 64)).toEqual([0, 0]);
  });

  test("turns 64-bit integers into numbers where that is exact", async () => {
    const pairs = [pair("small", ggufTypes.uint64, u64(7)), pair("large", ggufTypes.uint64, u64(2n ** 60n))];
    const { metadata } = await readGguf(write(rawGguf({ pairs })));
    expect(metadata.get("small")).toBe(7);
    expect(metadata.get("large")).toBe(2n ** 60n);
  });

  test("keeps a leading U+FEFF in strings, which the library drops", async () => {
    const texts = ["\ufeffone", "two", "\ufeff"];
    const array = Buffer.concat([u32(ggufTypes.string), u64(texts.length), ...texts.map(str)]);
    const pairs = [pair("list", ggufTypes.array, array), pair("text", ggufTypes.string, str("\ufeffx"))];
    const { metadata } = await readGguf(write(rawGguf({ pairs })));
    expect(metadata.get("list")).toEqual(texts);
    expect(metadata.get("text")).toBe("\ufeffx");
  });

  test("takes a list with a leading U+FEFF under a name that the library uses itself", async () => {
    const array = Buffer.concat([u32(ggufTypes.string), u64(1), str("\ufeffx")]);
    const { metadata } = await readGguf(write(rawGguf({ pairs: [pair("version", ggufTypes.array, array)] })));
    expect(metadata.has("version")).toBe(false);
  });

  test("reads an array whose last string crosses the library's chunk of 2,000,000 bytes", async () => {
    const filler = "x".repeat(1_999_900);
    const tail = "y".repeat(300);
    const array = Buffer.concat([u32(ggufTypes.string), u64(2), str(filler), str(tail)]);
    const { metadata } = await readGguf(write(rawGguf({ pairs: [pair("list", ggufTypes.array, array)] })));
    expect(metadata.get("list")).toEqual([filler, tail]);
  });
});

describe("readGguf on files that cannot be read", () => {
  test.each([
    ["a missing file", "/no/such/model.gguf"],
    ["a directory", tmpdir()],
  ])("reports %s with AIR_ERR_IO", async (_, path) => {
    const error = await airError(() => readGguf(path));
    expect(error.code).toBe("AIR_ERR_IO");
    expect(error.message).toMatch(/^expected a (readable|regular) file for .* but received /);
  });

  test.skipIf(process.platform === "win32")("refuses a pipe instead of waiting for it", async () => {
    const path = join(mkdtempSync(join(tmpdir(), "air-pipe-")), "pipe");
    execFileSync("mkfifo", [path]);
    expect((await airError(() => readGguf(path))).message).toContain("a special file");
    rmSync(dirname(path), { recursive: true });
  });

  test.each(["", "a\0b"])("refuses the path %j", async (path) => {
    expect((await airError(() => readGguf(path))).code).toBe("AIR_ERR_ARGUMENT");
  });

  test("never takes a path for a URL", async () => {
    expect((await airError(() => readGguf("https://127.0.0.1:9/model.gguf"))).code).toBe("AIR_ERR_IO");
  });
});

describe("readGguf on damaged files", () => {
  const badHeaders: readonly (readonly [string, Buffer, string])[] = [
    ["an empty file", Buffer.alloc(0), "AIR_ERR_MODEL_FORMAT"],
    ["another kind of file", Buffer.from("PK\x03\x04 not a model at all"), "AIR_ERR_MODEL_FORMAT"],
    ["version 1", rawGguf({ version: 1 }), "AIR_ERR_UNSUPPORTED"],
    ["version 4", rawGguf({ version: 4 }), "AIR_ERR_UNSUPPORTED"],
    ["a big-endian file", rawGguf({ version: 0x03000000 }), "AIR_ERR_UNSUPPORTED"],
    ["2^60 tensors", rawGguf({ tensorCount: 2n ** 60n }), "AIR_ERR_MODEL_FORMAT"],
    ["2^60 metadata pairs", rawGguf({ pairCount: 2n ** 60n }), "AIR_ERR_MODEL_FORMAT"],
    [
      "an array of 2^40 strings",
      rawGguf({
        pairs: [pair("a", ggufTypes.array, Buffer.concat([u32(ggufTypes.string), u64(2n ** 40n)]))],
      }),
      "AIR_ERR_MODEL_FORMAT",
    ],
    [
      "an array of 2^63 numbers",
      rawGguf({
        pairs: [pair("a", ggufTypes.array, Buffer.concat([u32(ggufTypes.uint32), u64(2n ** 63n)]))],
      }),
      "AIR_ERR_MODEL_FORMAT",
    ],
    [
      "a string of 2^40 bytes",
      rawGguf({ pairs: [pair("a", ggufTypes.string, u64(2n ** 40n))] }),
      "AIR_ERR_MODEL_FORMAT",
    ],
    ["a key of 2^62 bytes", rawGguf({ pairs: [u64(2n ** 62n)] }), "AIR_ERR_MODEL_FORMAT"],
    ["an unknown value type", rawGguf({ pairs: [pair("a", 13, u32(0))] }), "AIR_ERR_MODEL_FORMAT"],
    [
      "an array of arrays",
      rawGguf({ pairs: [pair("a", ggufTypes.array, Buffer.concat([u32(ggufTypes.array), u64(1), u64(0)]))] }),
      "AIR_ERR_MODEL_FORMAT",
    ],
    [
      "a key twice",
      rawGguf({ pairs: [1, 2].map((n) => pair("a", ggufTypes.uint32, u32(n))) }),
      "AIR_ERR_MODEL_FORMAT",
    ],
    [
      "an alignment that is no power of two",
      rawGguf({ pairs: [pair("general.alignment", ggufTypes.uint32, u32(48))] }),
      "AIR_ERR_MODEL_FORMAT",
    ],
    [
      "an alignment of zero",
      rawGguf({ pairs: [pair("general.alignment", ggufTypes.uint32, u32(0))] }),
      "AIR_ERR_MODEL_FORMAT",
    ],
  ];

  const badTensors: readonly (readonly [string, readonly RawTensor[], string])[] = [
    ["a range past the end", [{ ...matrix, dimensions: [32, 5] }], "AIR_ERR_MODEL_FORMAT"],
    ["an offset past the end", [{ ...matrix, offset: 2 ** 40 }], "AIR_ERR_MODEL_FORMAT"],
    ["an offset off the alignment", [{ ...matrix, offset: 4, dimensions: [32] }], "AIR_ERR_MODEL_FORMAT"],
    ["rows that are no whole blocks", [{ ...matrix, type: q4, dimensions: [33, 4] }], "AIR_ERR_MODEL_FORMAT"],
    ["a dimension of zero", [{ ...matrix, dimensions: [32, 0] }], "AIR_ERR_MODEL_FORMAT"],
    [
      "dimensions whose product overflows",
      [{ ...matrix, dimensions: [2 ** 32, 2 ** 32] }],
      "AIR_ERR_MODEL_FORMAT",
    ],
    ["a dimension of 2^63", [{ ...matrix, dimensions: [2n ** 63n, 1] }], "AIR_ERR_MODEL_FORMAT"],
    ["no dimensions", [{ ...matrix, dimensions: [] }], "AIR_ERR_MODEL_FORMAT"],
    ["five dimensions", [{ ...matrix, dimensions: [1, 1, 1, 1, 1] }], "AIR_ERR_MODEL_FORMAT"],
    ["a name twice", [matrix, matrix], "AIR_ERR_MODEL_FORMAT"],
    [
      "bytes shared with another",
      [matrix, { ...matrix, name: "x", dimensions: [8, 4] }],
      "AIR_ERR_MODEL_FORMAT",
    ],
    ["a type number that is not known", [{ ...matrix, type: 99 }], "AIR_ERR_UNSUPPORTED"],
  ];

  const badFiles = [
    ...badHeaders,
    ...badTensors.map(
      ([what, tensors, code]) =>
        [`a tensor with ${what}`, rawGguf({ tensors, dataBytes: 512 }), code] as const,
    ),
  ];

  test.each(badFiles)("refuses %s", async (_, bytes, code) => {
    const error = await airError(() => readGguf(write(bytes)));
    expect(error.message).toMatch(/^expected .+ for .+ but received .+/s);
    expect(error.code).toBe(code);
  });

  test("refuses a model cut at any of 200 places, each within a second", async () => {
    const whole = readFileSync(chatModel);
    let state = 1;
    for (let i = 0; i < 200; i++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      // Half of the cuts fall into the header, which is the first fortieth of the file.
      const length = Math.floor((state / 2 ** 32) * (i % 2 === 0 ? whole.length : whole.length / 40));
      const path = write(whole.subarray(0, length));
      const start = performance.now();
      const error = await airError(() => readGguf(path));
      expect(error.code, `cut at ${String(length)}`).toBe("AIR_ERR_MODEL_FORMAT");
      expect(performance.now() - start, `cut at ${String(length)}`).toBeLessThan(1000);
    }
  });

  test("survives any single header byte being overwritten", async () => {
    const whole = readFileSync(chatModel);
    let state = 7;
    for (let i = 0; i < 100; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      const damaged = Buffer.from(whole.subarray(0, 140_000));
      damaged[state % 131_000] = (state >>> 24) ^ 0xff;
      // Cut short, so that no damage leaves a file that is right.
      await airError(() => readGguf(write(damaged)));
    }
  });
});
