import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { afterAll, expect, test } from "vitest";

import { runCli } from "../../lib/cli/program.js";
import type { HeadsFile } from "../../lib/index.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const main = path.join(root, "dist", "cli", "main.js");
const model = path.join(root, "models", "air-tiny-large-q4_0.gguf");
const calibrationText = path.join(root, "docs", "cli.md");
const folder = mkdtempSync(path.join(tmpdir(), "air-cli-calibrate-"));
const sizes = ["--ctx", "64", "--score-tokens", "64", "--holdout-tokens", "64", "--window", "24"];

afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Runs `air calibrate` in this process. */
async function calibrate(args: readonly string[], { isTTY = false, stdin = "" } = {}) {
  const stdout = new PassThrough();
  const stderr = Object.assign(new PassThrough(), { isTTY });
  const io = { stdin: Readable.from([stdin]), stdout, stderr, signal: new AbortController().signal };
  const status = await runCli(["calibrate", "-m", model, ...args], io);
  const textOf = (stream: PassThrough) => (stream.read() as Buffer | null)?.toString() ?? "";
  return { status, stdout: textOf(stdout), stderr: textOf(stderr) };
}

test("writes a heads file that other commands take, and says what it is worth", async () => {
  const output = path.join(folder, "heads.json");
  const result = await calibrate(["-f", calibrationText, "-o", output, "--budget", "2%", ...sizes]);
  expect(result).toMatchObject({ status: 0, stderr: "" }); // no terminal, no progress
  expect(result.stdout).toMatch(/^query heads +1 of 64 masked$/mu);
  expect(result.stdout).toMatch(/^perplexity +[\d.]+ -> [\d.]+ \(-?[\d.]+%\) on held out text$/mu);
  expect(result.stdout).toMatch(/^KV at 16384 tokens +[\d.]+% less$/mu);
  expect(readdirSync(folder)).toEqual(["heads.json"]); // neither scores nor temporary files

  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const io = { stdin: Readable.from([""]), stdout, stderr, signal: new AbortController().signal };
  const command = ["generate", "-m", model, "--heads", output, "--raw", "-n", "3", "--json", "The"];
  expect(await runCli(command, io)).toBe(0);
  expect(JSON.parse((stdout.read() as Buffer).toString())).toMatchObject({ finishReason: "length" });
});

test("measures with the KV cache that its options ask for, rotated keys included", async () => {
  const perplexityWith = async (...options: readonly string[]): Promise<number> => {
    const output = path.join(folder, "rotated.json");
    const args = ["-f", calibrationText, "-o", output, "--max-ppl-increase", "0", ...sizes, "--json"];
    const { status, stdout } = await calibrate([...args, "--kv-k", "int8", ...options]);
    expect(status).toBe(0);
    rmSync(output);
    return (JSON.parse(stdout) as HeadsFile).expected.perplexityBefore;
  };
  expect(await perplexityWith("--rotate-keys")).not.toBe(await perplexityWith());
});

test("prints the file's object with --json, and its progress on a terminal", async () => {
  const output = path.join(folder, "json.json");
  const input = readFileSync(calibrationText, "utf8");
  const args = ["-f", "-", "-o", output, "--ffn-budget", "0.1", ...sizes, "--json"];
  const { status, stdout, stderr } = await calibrate(args, { isTTY: true, stdin: input });
  expect(status).toBe(0);
  const printed = JSON.parse(stdout) as HeadsFile;
  expect(printed).toEqual(JSON.parse(readFileSync(output, "utf8")));
  expect(printed.prunedChannelGroups.flat().length).toBeGreaterThan(0);
  expect(printed.window).toEqual({ windowTokens: 24, sinkTokens: 4 });
  expect(stderr).toContain("calibrating");
  expect(stderr).toMatch(/100%|s left/u);
});

test.each([
  [["--budget", "1.5"], 'expected a fraction such as 1% or 0.01 for --budget but received "1.5"'],
  [["--budget", "-1%"], 'expected a fraction such as 1% or 0.01 for --budget but received "-1%"'],
  [
    ["--max-ppl-increase", "much"],
    'expected a fraction such as 1% or 0.01 for --max-ppl-increase but received "much"',
  ],
  [["--ffn-budget", ""], "expected a fraction such as 1% or 0.01 for --ffn-budget"],
  [["--layer-cap", "2"], 'expected a number from 0 to 1 for --layer-cap but received "2"'],
  [["--score-tokens", "0"], 'for --score-tokens but received "0"'],
  [["--heads", "x.json"], "unknown option '--heads'"],
])("refuses %j as wrong usage", async (args, message) => {
  const output = path.join(folder, "refused.json");
  const { status, stderr } = await calibrate(["-f", calibrationText, "-o", output, ...args]);
  expect(status).toBe(2);
  expect(stderr).toContain(message);
  expect(existsSync(output)).toBe(false);
});

test("needs a text and an output", async () => {
  expect(await calibrate(["-o", "x"])).toMatchObject({ status: 2 });
  expect(await calibrate(["-f", calibrationText])).toMatchObject({ status: 2 });
});

test("refuses a text that is too short", async () => {
  const args = ["-f", "-", "-o", path.join(folder, "short.json"), ...sizes, "--json"];
  const { status, stdout, stderr } = await calibrate(args, { stdin: "Too short." });
  expect(status).toBe(2);
  expect(stderr).toMatch(/^AIR_ERR_ARGUMENT: expected at least 256 tokens for a calibration text /u);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: "AIR_ERR_ARGUMENT" } });
});

test("fails before it computes where the output cannot be written", async () => {
  const output = path.join(folder, "missing", "heads.json");
  const { status, stderr } = await calibrate(["-f", calibrationText, "-o", output, ...sizes]);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^AIR_ERR_IO: expected a writable file /u);
});

test("leaves its scores when interrupted, says so, and goes on from there", async () => {
  const output = path.join(folder, "interrupted.json");
  const scores = `${output}.scores`;
  const args = ["-f", calibrationText, "-o", output, "--budget", "2%", ...sizes];
  const child = spawn(process.execPath, [main, "calibrate", "-m", model, ...args]);
  const stderr = text(child.stderr);
  child.stdin.end();
  const entries = () =>
    existsSync(scores) ? readFileSync(scores, "utf8").trimEnd().split("\n").length - 1 : 0;
  while (entries() < 5) await sleep(5);
  child.kill("SIGINT");
  expect(await once(child, "close")).toEqual([130, null]);
  expect(await stderr).toBe(`air: scores so far are in ${scores}; the same command goes on from there\n`);
  expect(existsSync(output)).toBe(false);
  const kept = entries();
  expect(kept).toBeGreaterThanOrEqual(5);

  expect(await calibrate(args)).toMatchObject({ status: 0 });
  expect(existsSync(scores)).toBe(false);
  const uninterrupted = JSON.parse(readFileSync(path.join(folder, "heads.json"), "utf8")) as HeadsFile;
  expect(JSON.parse(readFileSync(output, "utf8"))).toEqual(uninterrupted);
});
