import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough, Readable } from "node:stream";
import { fileURLToPath } from "node:url";

import { beforeAll, describe, expect, test } from "vitest";

import { runCli } from "../../../lib/cli/program.js";
import { parseRouterFile, type RouterFile } from "../../../lib/routing/router-file.js";

const unseen = fileURLToPath(new URL("../../../bench/router/unseen.jsonl", import.meta.url));

async function router(args: readonly string[], stdin = "") {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const io = { stdin: Readable.from([stdin]), stdout, stderr, signal: new AbortController().signal };
  const status = await runCli(["router", ...args], io);
  const textOf = (stream: PassThrough) => (stream.read() as Buffer | null)?.toString() ?? "";
  return { status, stdout: textOf(stdout), stderr: textOf(stderr) };
}

interface Result {
  readonly thresholds: readonly [number, number];
  readonly prompts: number;
  readonly accuracy: number;
  readonly shares: readonly number[];
  readonly confusion: readonly (readonly number[])[];
  readonly cost: { readonly expected: number };
  readonly error: { readonly code: string };
}

const parse = (text: string) => JSON.parse(text) as Result;

const folder = mkdtempSync(path.join(tmpdir(), "air-router-cli-"));
const own = path.join(folder, "router.json");
let trained: Awaited<ReturnType<typeof router>>;
const readOwn = (file = own): RouterFile => parseRouterFile(readFileSync(file, "utf8"), file);

beforeAll(async () => {
  trained = await router(["train", unseen, "-o", own, "--folds", "3", "--json"]);
});

describe("air router train", () => {
  test("writes a router and says how it does by cross-validation", () => {
    expect(trained).toMatchObject({ status: 0, stderr: "" });
    const result = parse(trained.stdout);
    expect(result.prompts).toBe(160);
    expect(result.accuracy).toBeGreaterThan(0.7);
    expect(readOwn().thresholds).toEqual(result.thresholds);
    expect(readOwn().training).toEqual({ examples: 160, families: 0 });
  });

  test("is deterministic, and reads stdin", async () => {
    const again = path.join(folder, "again.json");
    const { status, stdout } = await router(
      ["train", "-", "-o", again, "--folds", "3"],
      readFileSync(unseen, "utf8"),
    );
    expect(status).toBe(0);
    expect(stdout).toMatch(/^by cross-validation:\nprompts +160$/m);
    expect(stdout).toMatch(/^2 hard +\d+ +\d+ +\d+ +\d+\.\d%$/m);
    expect(readFileSync(again, "utf8")).toBe(readFileSync(own, "utf8"));
  });

  test("names a bad line, and writes nothing then", async () => {
    const file = path.join(folder, "never.json");
    const { status, stderr } = await router(
      ["train", "-", "-o", file],
      '{"prompt":"a","tier":0}\n{"prompt":"b"}\n',
    );
    expect(status).toBe(2);
    expect(stderr).toContain(
      "AIR_ERR_ARGUMENT: expected tier to be 0, 1 or 2 for line 2 of - but received none",
    );
    expect(() => readFileSync(file)).toThrow("ENOENT");
  });

  test("says what it cannot write", async () => {
    const { status, stderr } = await router(["train", unseen, "-o", path.join(folder, "not", "there.json")]);
    expect(status).toBe(1);
    expect(stderr).toContain("AIR_ERR_IO");
  });
});

describe("air router eval", () => {
  test("judges the shipped router", async () => {
    const { status, stdout } = await router(["eval", unseen]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^accuracy +(8[5-9]|9\d)\.\d%$/m);
    expect(stdout).toMatch(
      /^expected cost +\d+\.\d\d a request \(6\.63 at best, 16\.00 all on the largest tier\)$/m,
    );
    expect(stdout).not.toMatch(/NaN|undefined/);
  });

  test("judges another router at other costs", async () => {
    const { stdout } = await router(["eval", unseen, "--router", own, "--costs", "1,1,1", "--json"]);
    const { confusion, cost, prompts } = parse(stdout);
    const under = (confusion[1]?.[0] ?? 0) + (confusion[2]?.[0] ?? 0) + (confusion[2]?.[1] ?? 0);
    expect(prompts).toBe(160);
    expect(cost.expected).toBeCloseTo(1 + under / 160, 9);
  });

  test.each([
    [["eval", unseen, "--costs", "1,2"], "AIR_ERR_ARGUMENT: expected three costs such as 1,4,16 for --costs"],
    [
      ["eval", unseen, "--costs", "1,2,x"],
      "AIR_ERR_ARGUMENT: expected three costs such as 1,4,16 for --costs",
    ],
    [["eval", unseen, "--router", unseen], "AIR_ERR_ROUTER_FILE: expected JSON for"],
    [["eval", path.join(folder, "none.jsonl")], "AIR_ERR_IO"],
    [["eval", "-"], "AIR_ERR_ARGUMENT: expected at least one prompt for - but received"],
    [["eval"], "AIR_ERR_ARGUMENT"],
    [["evaluate"], "AIR_ERR_ARGUMENT"],
  ])("refuses %j", async (args, message) => {
    const { status, stderr } = await router(args);
    expect(status).not.toBe(0);
    expect(stderr).toContain(message);
  });

  test("gives programs its errors as JSON", async () => {
    const { stdout } = await router(["eval", path.join(folder, "none.jsonl"), "--json"]);
    expect(parse(stdout).error.code).toBe("AIR_ERR_IO");
  });
});

describe("air router calibrate", () => {
  test("sets thresholds as quantiles of prompts without tiers, and writes them", async () => {
    const file = path.join(folder, "calibrated.json");
    const prompts = readFileSync(unseen, "utf8").replaceAll(/,\s*"tier": \d/g, "");
    const { status, stdout, stderr } = await router(
      ["calibrate", "--mix", "60/30/10", "-", "--router", own, "-o", file, "--json"],
      prompts,
    );
    expect(status).toBe(0);
    expect(stderr).toContain("160 prompts say little about traffic to come");
    const { shares, thresholds } = parse(stdout);
    expect(shares.map((share) => Math.round(share * 160))).toEqual([96, 48, 16]);
    expect(readOwn(file)).toEqual({ ...readOwn(), thresholds, sha256: readOwn(file).sha256 });
  });

  test("prints a table, and writes nothing without -o", async () => {
    const before = readFileSync(own, "utf8");
    const { stdout } = await router(["calibrate", "--mix", "1/1/2", unseen, "--router", own]);
    expect(stdout).toMatch(/^0 simple +25\.0% +25\.0% +below 0\.\d{4}$/m);
    expect(stdout).toMatch(/^2 hard +50\.0% +50\.0% +the rest$/m);
    expect(readFileSync(own, "utf8")).toBe(before);
  });

  test.each(["60/40", "60/30/x", "0/0/0", "60/-30/10", "", "60//10"])("refuses a mix of %j", async (mix) => {
    const { status, stderr } = await router(["calibrate", "--mix", mix, unseen]);
    expect(status).toBe(2);
    expect(stderr).toContain("AIR_ERR_ARGUMENT: expected shares such as 60/30/10 for --mix");
  });

  test("needs a mix and prompts", async () => {
    expect((await router(["calibrate", unseen])).stderr).toContain("--mix");
    expect((await router(["calibrate", "--mix", "60/30/10", "-"])).stderr).toContain(
      "expected at least one prompt",
    );
  });
});

describe("air router", () => {
  test("lists its commands with the status of wrong usage, and explains each", async () => {
    const { status, stderr } = await router([]);
    expect(status).toBe(2);
    for (const command of ["train", "eval", "calibrate"]) {
      expect(stderr).toMatch(new RegExp(`^  ${command} `, "m"));
      const help = await router([command, "--help"]);
      expect(help.status).toBe(0);
      expect(help.stdout).toMatch(new RegExp(`^Examples:\\n(.*\\n)*.*air router ${command} `, "m"));
    }
  });
});
