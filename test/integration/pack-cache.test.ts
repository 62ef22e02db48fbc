import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { loadModel, type PackCacheReport, perplexity } from "../../lib/index.js";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const model = fileURLToPath(new URL("../../models/air-tiny-large-q4_0.gguf", import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "air-pack-cache-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** The one file in the cache. */
function packFile(directory = folder): string {
  const files = readdirSync(directory);
  expect(files).toEqual([expect.stringMatching(/^air-tiny-large-q4_0-[0-9a-f]{16}\.airpack$/)]);
  return join(directory, files[0] ?? "");
}

interface Generated {
  readonly tokens: readonly number[];
  readonly packCache?: PackCacheReport;
}

async function generate(...options: readonly string[]): Promise<Generated & { readonly stderr: string }> {
  const prompt = ["--raw", "-n", "12", "The function returns"];
  const args = [main, "generate", "--json", "-m", model, ...options, ...prompt];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
  return { ...(JSON.parse(stdout) as Generated), stderr };
}

describe("air generate --pack-cache", () => {
  test("writes packed weights once, maps them afterwards, and generates the same tokens", async () => {
    const directory = join(folder, "made", "for it");
    const plain = await generate();
    const first = await generate("--pack-cache", directory);
    const file = packFile(directory);
    const second = await generate("--pack-cache", directory);

    expect(plain.packCache).toBeUndefined();
    expect(first.packCache).toEqual({ outcome: "written", file });
    expect(first.stderr).toBe(`air: packed weights written to ${file}\n`);
    expect(second.packCache).toEqual({ outcome: "hit", file });
    expect(second.stderr).toBe(`air: weights mapped from ${file}\n`);
    expect(first.tokens).toEqual(plain.tokens);
    expect(second.tokens).toEqual(plain.tokens);
  });

  test("replaces a damaged file and says so", async () => {
    const { tokens } = await generate("--pack-cache", folder);
    const file = packFile();
    const bytes = readFileSync(file);
    const place = bytes.length - 1000;
    bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place);
    writeFileSync(file, bytes);
    const recovered = await generate("--pack-cache", folder);
    expect(recovered.tokens).toEqual(tokens);
    expect(recovered.packCache?.outcome).toBe("written");
    expect(recovered.stderr).toMatch(/written to .* \(expected the checksum in its header for .*\)\n$/);

    truncateSync(file, 5000);
    expect((await generate("--pack-cache", folder)).packCache?.outcome).toBe("written");
    expect((await generate("--pack-cache", folder)).packCache?.outcome).toBe("hit");
  });

  test("works for two processes that start at once", async () => {
    const [one, other] = await Promise.all([
      generate("--pack-cache", folder),
      generate("--pack-cache", folder),
    ]);
    expect(one.tokens).toEqual(other.tokens);
    expect([one.packCache?.outcome, other.packCache?.outcome]).toContain("written");
    packFile();
  });

  test("refuses a path that is no directory", async () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    const failure = {
      code: 2,
      stderr: expect.stringContaining("expected a directory for packCache") as string,
    };
    await expect(generate("--pack-cache", file)).rejects.toMatchObject(failure);
    await expect(generate("--pack-cache", join(file, "below"))).rejects.toMatchObject(failure);
  });
});

describe("loadModel with packCache", () => {
  test("reports it in info, and gives the same perplexity from mapped weights", async () => {
    const text = readFileSync(fileURLToPath(import.meta.url), "utf8");
    const measured: number[] = [];
    for (const outcome of ["written", "hit"]) {
      const fractions: number[] = [];
      using loaded = await loadModel(model, {
        packCache: folder,
        contextTokens: 64,
        onProgress: (fraction) => fractions.push(fraction),
      });
      expect(loaded.info.packCache).toEqual({ outcome, file: packFile() });
      expect(fractions.at(-1)).toBe(1);
      const tokens = loaded.tokenizer.encode(text, { special: false, bos: false }).slice(0, 189);
      measured.push((await perplexity(loaded, tokens, { contextTokens: 64 })).perplexity);
    }
    expect(measured[0]).toBeGreaterThan(1);
    expect(measured[1]).toBe(measured[0]);
  });

  test("loads without a cache where nothing can be written, and says why", async () => {
    using loaded = await loadModel(model, { packCache: "/sys/air-pack-cache" });
    expect(loaded.info.packCache).toMatchObject({
      outcome: "unwritten",
      reason: expect.stringMatching(/^expected a writable file for \/sys\/air-pack-cache\//) as string,
    });
  });
});
