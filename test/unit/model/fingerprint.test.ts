import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { fingerprintModel } from "../../../lib/model/fingerprint.js";
import { type ModelFile, readGguf } from "../../../lib/model/gguf.js";

const model = fileURLToPath(new URL("../../../models/air-tiny-chat-q4_0.gguf", import.meta.url));

describe("fingerprintModel", () => {
  let folder: string;
  let file: ModelFile;
  let bytes: Buffer;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "air-fingerprint-"));
    file = await readGguf(model);
    bytes = readFileSync(model);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  async function fingerprintOf(content: Uint8Array): Promise<string> {
    const path = join(folder, "copy.gguf");
    writeFileSync(path, content);
    return fingerprintModel({ ...file, path, fileBytes: content.length });
  }

  test("depends on the content and not on the name", async () => {
    const fingerprint = await fingerprintModel(file);
    expect(fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(await fingerprintOf(bytes)).toBe(fingerprint);
  });

  test("changes with the header, the size, and the first and last bytes of the tensors", async () => {
    const seen = new Set([await fingerprintModel(file)]);
    for (const offset of [0, 100, file.headerBytes - 1, file.headerBytes, bytes.length - 1]) {
      const changed = Buffer.from(bytes);
      changed[offset] = (changed[offset] ?? 0) ^ 1;
      seen.add(await fingerprintOf(changed));
    }
    seen.add(await fingerprintOf(Buffer.concat([bytes, Buffer.of(0)])));
    seen.add(await fingerprintOf(bytes.subarray(0, -1)));
    expect(seen.size).toBe(8);
  });

  test("changes with a run of tensor data that is longer than the gap between samples", async () => {
    const dataBytes = bytes.length - file.headerBytes;
    const changed = Buffer.from(bytes);
    const start = file.headerBytes + Math.floor(dataBytes / 3);
    for (let offset = start; offset < start + dataBytes / 60; offset += 1)
      changed[offset] = (changed[offset] ?? 0) ^ 1;
    expect(await fingerprintOf(changed)).not.toBe(await fingerprintModel(file));
  });

  test("reports a file that got shorter, or is gone, as AIR_ERR_IO", async () => {
    const path = join(folder, "short.gguf");
    writeFileSync(path, bytes);
    truncateSync(path, file.headerBytes + 10);
    await expect(fingerprintModel({ ...file, path })).rejects.toMatchObject({ code: "AIR_ERR_IO" });
    await expect(fingerprintModel({ ...file, path: join(folder, "none") })).rejects.toMatchObject({
      code: "AIR_ERR_IO",
    });
  });
});
