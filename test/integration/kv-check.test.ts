import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { runCli } from "../../lib/cli/program.js";
import { checkKvPrecision, divergence, type KvCheckResult, loadModel } from "../../lib/index.js";
import { writeOutlierModel } from "../support/outlier-model.js";

const models = fileURLToPath(new URL("../../models/", import.meta.url));
const bundled = [
  "air-tiny-chat-q4_0",
  "air-tiny-large-q4_0",
  "air-tiny-chat-draft-q8_0",
  "air-tiny-draft-q8_0",
];
const plain = join(models, "air-tiny-large-q4_0.gguf");
const folder = mkdtempSync(join(tmpdir(), "air-kv-check-"));
const outliers = join(folder, "outliers.gguf");

beforeAll(() => writeOutlierModel(plain, outliers, 256));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

async function air(
  ...args: readonly string[]
): Promise<{ readonly status: number; readonly stdout: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const io = { stdin: Readable.from([""]), stdout, stderr, signal: new AbortController().signal };
  const status = await runCli(args, io);
  return { status, stdout: (stdout.read() as Buffer | null)?.toString() ?? "" };
}

describe("checkKvPrecision", () => {
  test.each(bundled)("finds int8 fine for %s", async (name) => {
    const result = await checkKvPrecision(join(models, `${name}.gguf`));
    expect(result).toMatchObject({ keys: "int8", values: "int8", verdict: "fine" });
    expect(result.meanDivergence).toBeGreaterThan(0);
    expect(result.meanDivergence).toBeLessThan(2e-3); // 2.3e-4 to 6.4e-4 measured
    expect(result.sameTopRate).toBeGreaterThan(0.95);
    expect(result.tokens).toBeGreaterThan(200);
    expect(result).not.toHaveProperty("alone");
  });

  test("finds the harm that int8 does to keys with outliers, and that it is the keys", async () => {
    const [before, after] = [await checkKvPrecision(plain), await checkKvPrecision(outliers)];
    expect(after.verdict).toBe("harmful");
    expect(after.meanDivergence).toBeGreaterThan(100 * before.meanDivergence);
    expect(after.p99Divergence).toBeGreaterThan(after.meanDivergence);
    expect(after.alone?.keys).toBeGreaterThan(0.1);
    expect(after.alone?.values).toBeLessThan(0.01);
  });

  test("finds the same model fine with float16 keys, and with keys that were rotated", async () => {
    const keys = await checkKvPrecision(outliers, { kvKeys: "f16" });
    expect(keys).toMatchObject({ keys: "f16", values: "int8", verdict: "fine" });
    const [plainKeys, rotated] = [
      await checkKvPrecision(outliers),
      await checkKvPrecision(outliers, { rotateKeys: true }),
    ];
    expect(rotated.meanDivergence).toBeLessThan(plainKeys.meanDivergence / 2);
  });

  test("is the same model in float16 as the one without outliers", async () => {
    const options = { kv: "f16", contextTokens: 256 } as const;
    using model = await loadModel(outliers, options);
    using reference = await loadModel(plain, options);
    const ids = model.tokenizer.encode(readFileSync(new URL("../../docs/cli.md", import.meta.url), "utf8"), {
      special: false,
      bos: false,
    });
    const result = await divergence(model, reference, ids.subarray(0, 600), { contextTokens: 256 });
    expect(result.meanDivergence).toBeLessThan(5e-3);
  });

  test("takes float16 for what it is compared with", async () => {
    const result = await checkKvPrecision(plain, { kv: "f16", text: "The list of arguments is passed on." });
    expect(result).toMatchObject({ meanDivergence: 0, p99Divergence: 0, sameTopRate: 1, verdict: "fine" });
  });

  test("refuses a text without anything to predict, unknown precisions and files, and stops when aborted", async () => {
    await expect(checkKvPrecision(plain, { text: "" })).rejects.toMatchObject({ code: "AIR_ERR_ARGUMENT" });
    await expect(checkKvPrecision(plain, { kv: "int2" as "int4" })).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
    });
    await expect(checkKvPrecision(join(folder, "missing.gguf"))).rejects.toMatchObject({
      code: "AIR_ERR_IO",
    });
    await expect(checkKvPrecision(plain, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "AIR_ERR_CANCELLED",
    });
  });
});

describe("air inspect --kv-check", () => {
  test("prints the verdict after the report", async () => {
    const { status, stdout } = await air("inspect", outliers, "--kv-check");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^architecture +llama$/mu);
    expect(stdout).toMatch(/^KV check +int8 against f16, \d+ tokens$/mu);
    expect(stdout).toMatch(/^verdict +harmful: /mu);
    expect(stdout).toMatch(/^keys alone +\d/mu);
  });

  test("is part of the object, and absent unless asked for", async () => {
    const check = async (...args: readonly string[]): Promise<KvCheckResult | undefined> => {
      const { status, stdout } = await air("inspect", plain, "--json", ...args);
      expect(status).toBe(0);
      return (JSON.parse(stdout) as { readonly kvCheck?: KvCheckResult }).kvCheck;
    };
    expect(await check()).toBeUndefined();
    expect(await check("--kv-check", "--kv-k", "int4")).toMatchObject({ keys: "int4", values: "int8" });
  });

  test("rotates keys when asked to", async () => {
    const divergenceWith = async (...args: readonly string[]): Promise<number> => {
      const { stdout } = await air("inspect", outliers, "--json", "--kv-check", ...args);
      return (JSON.parse(stdout) as { readonly kvCheck: KvCheckResult }).kvCheck.meanDivergence;
    };
    expect(await divergenceWith("--rotate-keys")).toBeLessThan((await divergenceWith()) / 2);
  });
});
