import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough, Readable } from "node:stream";
import { text as readText } from "node:stream/consumers";

import { afterAll, expect, test } from "vitest";

import { runCli } from "../../../lib/cli/program.js";

const folder = mkdtempSync(path.join(tmpdir(), "air-log-cli-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Runs `air log export` in this process. */
async function exportLog(...args: readonly string[]) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const { signal } = new AbortController();
  const status = await runCli(["log", "export", ...args], {
    stdin: Readable.from([]),
    stdout,
    stderr,
    signal,
  });
  stdout.end();
  stderr.end();
  return { status, stdout: await readText(stdout), stderr: await readText(stderr) };
}

test("air log export writes whole lines, the oldest file first, to stdout or a new file", async () => {
  writeFileSync(path.join(folder, "requests-2000.jsonl"), '{"id":2}\n{"id":3}\n');
  writeFileSync(path.join(folder, "requests-1000.jsonl"), '{"id":1}\n{"id":"cut o');
  writeFileSync(path.join(folder, "other.jsonl"), '{"id":9}\n');
  const lines = '{"id":1}\n{"id":2}\n{"id":3}\n';
  expect(await exportLog(folder)).toEqual({ status: 0, stdout: lines, stderr: "" });
  const output = path.join(folder, "out.jsonl");
  expect((await exportLog(folder, "-o", output)).status).toBe(0);
  expect(readFileSync(output, "utf8")).toBe(lines);
  expect(statSync(output).mode & 0o777).toBe(0o600);
  const again = await exportLog(folder, "-o", output);
  expect(again.status).toBe(1);
  expect(again.stderr).toContain("AIR_ERR_IO");
  const missing = await exportLog(path.join(folder, "nothing"));
  expect(missing.status).toBe(1);
  expect(missing.stderr).toContain("AIR_ERR_IO");
});
