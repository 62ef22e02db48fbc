import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { PassThrough, Readable } from "node:stream";

import { afterAll, describe, expect, test } from "vitest";

import { runCli } from "../../lib/cli/program.js";
import { easyPrompt, largeFile, smallFile } from "../support/tier-runtime.js";

const folder = mkdtempSync(join(tmpdir(), "air-cli-tiers-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function write(name: string, content: unknown): string {
  const file = join(folder, name);
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  return file;
}

// Paths of a configuration are relative to it.
const tiers = [
  { name: "small", model: relative(folder, smallFile), contextTokens: 512 },
  {
    name: "large",
    model: relative(folder, largeFile),
    contextTokens: 512,
    draft: relative(folder, smallFile),
  },
];
const config = write("air.config.json", { tiers, governor: false });
const france = "What is the capital of France?";

async function air(args: readonly string[], stdin = "", signal = new AbortController().signal) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const status = await runCli(args, { stdin: Readable.from([stdin]), stdout, stderr, signal });
  const text = (stream: PassThrough): string => (stream.read() as Buffer | null)?.toString() ?? "";
  return { status, stdout: text(stdout), stderr: text(stderr) };
}

/** The objects of a command's output, one per line. */
async function objects(args: readonly string[], stdin = ""): Promise<readonly Record<string, unknown>[]> {
  const { status, stdout, stderr } = await air([...args, "--json"], stdin);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe("air run", () => {
  test("prints an answer and nothing else", async () => {
    const { status, stdout, stderr } = await air(["run", "--config", config, "--tier", "large", france]);
    expect({ status, stdout, stderr }).toEqual({
      status: 0,
      stdout: "The capital of France is Paris.\n",
      stderr: "",
    });
  });

  test("reports tier, score and attempts with --json", async () => {
    const [report] = await objects(["run", "--config", config, "--max-tier", "small", "-n", "5", france]);
    expect(report).toMatchObject({
      ...{
        tier: "small",
        finishReason: "length",
        tokens: 5,
        attempts: [{ tier: "small", outcome: "answered" }],
      },
      ...{ reason: expect.any(String) as string, score: expect.any(Number) as number },
    });
  });

  test("answers the prompts of a file one by one, each by itself", async () => {
    const file = write("prompts.txt", `${france}\n\nWhat is 12 times 7?\n${france}\n`);
    const reports = await objects(["run", "--config", config, "--tier", "large", "--file", file]);
    expect(reports.map(({ text }) => text)).toEqual([
      ...["The capital of France is Paris.", "12 times 7 is 84.", "The capital of France is Paris."],
    ]);
    expect(reports[2]?.["promptTokens"]).toBe(reports[0]?.["promptTokens"]);
  });

  test("holds a conversation over piped lines", async () => {
    const reports = await objects(
      ["run", "--config", config, "--tier", "large"],
      `${france}\n${france}\n/reset\n${france}\n`,
    );
    const [first, second, third] = reports.map(({ promptTokens }) => Number(promptTokens));
    expect(second).toBeGreaterThan(Number(first) + 5);
    expect(third).toBe(first);
  });

  test("stops between the prompts of a file when it is interrupted", async () => {
    const abort = new AbortController();
    abort.abort();
    const file = write("many.txt", `${france}\n`.repeat(3));
    const { status, stdout } = await air(["run", "--config", config, "--file", file], "", abort.signal);
    expect({ status, stdout }).toEqual({ status: 130, stdout: "" });
  });

  test.each([
    [
      "a tier that is not there",
      ["run", "--config", config, "--tier", "medium", france],
      2,
      "AIR_ERR_ARGUMENT",
    ],
    ["a prompt beside a file", ["run", "--config", config, "--file", config, france], 2, "AIR_ERR_ARGUMENT"],
    ["no configuration", ["run", france], 2, "AIR_ERR_ARGUMENT"],
    ["a missing configuration", ["run", "--config", "none.json", france], 1, "AIR_ERR_IO"],
    ["a configuration that is none", ["run", "--config", smallFile, france], 1, "AIR_ERR_CONFIG"],
  ])("refuses %s", async (_name, args, status, code) => {
    const failed = await air(args);
    expect([failed.status, failed.stdout]).toEqual([status, ""]);
    expect(failed.stderr).toMatch(new RegExp(`^${code}: expected .* but received `));
  });
});

describe("air route", () => {
  test("prints a line per prompt of a file, and objects with --json", async () => {
    const file = write("routes.txt", `${easyPrompt}\n${france}\n`);
    const reports = await objects(["route", "--file", file]);
    expect(reports.map(({ prompt }) => prompt)).toEqual([easyPrompt, france]);
    for (const report of reports) {
      const { tier, score, probabilities, reason } = report;
      expect([typeof tier, typeof score, reason]).toEqual(["number", "number", "score"]);
      expect((probabilities as number[]).reduce((sum, value) => sum + value, 0)).toBeCloseTo(1);
    }
    const { stdout } = await air(["route", "--file", file]);
    expect(stdout).toMatch(
      /^\d {2}0\.\d{3} {2}Name a fruit\.\n\d {2}0\.\d{3} {2}What is the capital of France\?\n$/,
    );
  });

  test("reads one prompt from stdin and explains it", async () => {
    const { status, stdout } = await air(["route"], `${france}\n`);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^tier +0 \(simple\)$/mu);
    expect(stdout).toMatch(/^features +[+-]\d\.\d\d {2}/mu);
  });

  test("names the tiers of a configuration, as if it were run", async () => {
    const [report] = await objects(["route", "--config", config, france]);
    expect(report).toMatchObject({ tier: 0, name: "small", reason: "score" });
    expect(report?.["detail"]).toMatch(/^Score 0\.\d\d asks for small: small answers in /);
    const both = await air(["route", "--config", config, "--router", "router.json", france]);
    expect(both.status).toBe(2);
  });
});

describe("air config", () => {
  test("finds a configuration fine and lists its tiers", async () => {
    const { status, stdout } = await air(["config", "check", config]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^small +local .*small|^small +local/mu);
    expect(stdout.endsWith("fine\n")).toBe(true);
    expect(await objects(["config", "check", config])).toEqual([
      {
        ok: true,
        tiers: [
          { name: "small", kind: "local" },
          { name: "large", kind: "local" },
        ],
      },
    ]);
  });

  test("says all that is wrong, with places", async () => {
    const file = write("wrong.json", {
      tiers: [{ name: "a" }, { name: "b", url: "ftp://x", model: "m" }],
      memory: "much",
    });
    const { status, stdout, stderr } = await air(["config", "check", file]);
    expect(status).toBe(1);
    for (const place of ["memory", "tiers[0].model", "tiers[1].url"]) expect(stdout).toContain(place);
    expect(stderr).toMatch(/^AIR_ERR_CONFIG: expected .* \(and 2 more\)\n/);
    const json = await air(["config", "check", "--json", file]);
    const { error } = JSON.parse(json.stdout) as { error: { code: string; problems: { path: string }[] } };
    expect([error.code, error.problems.length]).toEqual(["AIR_ERR_CONFIG", 3]);
  });

  test("prints the JSON schema", async () => {
    const { stdout } = await air(["config", "schema"]);
    expect(JSON.parse(stdout)).toMatchObject({ type: "object", required: ["tiers"] });
  });
});
