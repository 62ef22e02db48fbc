/** Memory of a model of real size. Needs 600 MB of disk for the file and as much memory; takes seconds, not minutes. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { runFillContext } from "../../bench/memory/run-fill-context.js";
import { inflateModel } from "../../bench/models/inflate-model.js";
import { namedShapes } from "../../bench/models/shapes.js";
import { planModel } from "../../lib/index.js";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const source = fileURLToPath(new URL("../../models/air-tiny-large-q4_0.gguf", import.meta.url));

interface GenerateObject {
  readonly tokens: readonly number[];
  readonly memory: { readonly weightBytes: number; readonly kvBytes: number; readonly peakRssBytes: number };
}

function generate(file: string): GenerateObject {
  const args = [
    "generate",
    "-m",
    file,
    "--raw",
    "--json",
    "-n",
    "16",
    "--ctx",
    "512",
    "The SELECT statement is",
  ];
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: "utf8" });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as GenerateObject;
}

describe("a 1.1B Q4_0 file", () => {
  const folder = mkdtempSync(join(tmpdir(), "air-memory-"));
  const file = join(folder, "1.1b-q4_0.gguf");

  beforeAll(async () => {
    const shape = namedShapes["1.1b"];
    if (shape === undefined) throw new Error("no such shape");
    await inflateModel(source, file, { type: "Q4_0", shape });
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  test("peaks below 1.35 times its size before KV while it loads and runs", () => {
    const { tokens, memory } = generate(file);
    const fileBytes = statSync(file).size;
    expect(fileBytes).toBeGreaterThan(500e6);
    expect((memory.peakRssBytes - memory.kvBytes) / fileBytes).toBeLessThan(1.35);
    expect(memory.weightBytes / fileBytes).toBeLessThan(1.01);
    expect(tokens.length).toBe(16);
  });

  test.each([
    [{ kv: "int8", contextTokens: 512 } as const, 2],
    [{ kv: "f16", contextTokens: 1024 } as const, 1],
  ])("is resident as planned at %o with %i full texts, to 5%", async (load, sequences) => {
    const { rssBytes, threads } = runFillContext({ model: file, sequences, load });
    const { kv, contextTokens } = load;
    const plan = await planModel(file, { kv, contextTokens, sequences, threads });
    expect(plan.totalBytes / rssBytes).toBeGreaterThan(0.95);
    expect(plan.totalBytes / rssBytes).toBeLessThan(1.05);
  });
});
