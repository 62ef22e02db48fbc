import { PassThrough } from "node:stream";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { AirArgumentError } from "../../../lib/errors/air-error.js";
import { toPlanOptions } from "../../../lib/cli/plan.js";
import { runCli } from "../../../lib/cli/program.js";

const models = fileURLToPath(new URL("../../../models/", import.meta.url));
const chatModel = `${models}air-tiny-chat-q4_0.gguf`;

async function plan(...args: readonly string[]) {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const io = { stdin, stdout, stderr, signal: new AbortController().signal };
  const status = await runCli(["plan", "-m", chatModel, ...args], io);
  return { status, stdout: (stdout.read() as Buffer | null)?.toString() ?? "" };
}

describe("air plan", () => {
  test("shows where memory goes, in columns, and the largest context", async () => {
    const { status, stdout } = await plan("--memory", "1GiB");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^weights {5,}4\.\d\d MiB {2}packed$/m);
    expect(stdout).toMatch(/^KV cache {4,}2\.\d\d MiB {2}33 pages of 68\.0 KiB, 2\.13 KiB a token$/m);
    expect(stdout).toMatch(/^needed {5,}1\d\d\.\d MiB .* headroom$/m);
    expect(stdout).toMatch(/^available {2,}1\.00 GiB {2}fits$/m);
    expect(stdout).toMatch(/^largest context that fits: \d{6} tokens$/m);
    expect(stdout).not.toMatch(/undefined|NaN|what helps/);
  });

  test("says what to change where it does not fit", async () => {
    const { status, stdout } = await plan("--memory", "200MiB", "--ctx", "65536", "--sequences", "2");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^available +200\.0 MiB {2}does not fit$/m);
    expect(stdout).toMatch(/^- a context of \d+ tokens \(--ctx \d+\) +saves 2\d\d\.\d MiB +and fits$/m);
    expect(stdout).toMatch(/^- int4 keys and values \(--kv int4\) +saves /m);
    expect(stdout).toMatch(/^- one sequence at a time \(--sequences 1\) +saves /m);
    expect((await plan("--memory", "1MiB", "--ctx", "65536")).stdout).toContain(
      "largest context that fits: none",
    );
  });

  test("gives programs the numbers under their names", async () => {
    const { stdout } = await plan("--memory", "1GiB", "--json", "--ctx", "2048", "--kv-v", "f16");
    const object = JSON.parse(stdout) as Readonly<Record<string, unknown>>;
    expect(object).toMatchObject({
      kvBytesPerToken: 8 * 4 * (32 + 2 + 64),
      kvBytes: 8 * 4 * (32 + 2 + 64) * (2048 + 32),
      availableBytes: 2 ** 30,
      fits: true,
    });
    for (const name of ["weightBytes", "bufferBytes", "totalBytes", "maxContext"]) {
      expect(object[name], name).toEqual(expect.any(Number));
    }
  });

  test("lists a draft model by itself", async () => {
    const { stdout } = await plan("--draft", `${models}air-tiny-chat-draft-q8_0.gguf`);
    expect(stdout).toMatch(/^draft weights +\d/m);
    expect(stdout).toMatch(/^draft KV cache +\d/m);
  });

  test("shows the pages of streaming heads", async () => {
    const { stdout } = await plan("--ctx", "8192", "--window", "256", "--sinks", "8");
    expect(stdout).toMatch(/ 16 pages of streaming heads of 68\.0 KiB/);
  });
});

describe("toPlanOptions", () => {
  test("refuses sinks without a window", () => {
    const sinksAlone = () => toPlanOptions({ sequences: 1, kv: "int8", sinks: 4 });
    expect(sinksAlone).toThrow(AirArgumentError);
    expect(sinksAlone).toThrow("expected --window beside it for --sinks but received 4");
  });

  test("lets --kv-k and --kv-v override --kv, and leaves absent options absent", () => {
    expect(toPlanOptions({ sequences: 1, kv: "int4", kvK: "int8" })).toEqual({
      sequences: 1,
      kv: "int4",
      kvKeys: "int8",
    });
    const all = { ...{ ctx: 64, window: 32, sinks: 0, draft: "d", threads: 2, memory: 5 } };
    expect(toPlanOptions({ sequences: 2, kv: "f16", ...all })).toEqual({
      ...{ sequences: 2, kv: "f16" },
      ...{ contextTokens: 64, window: 32, sinks: 0, draft: "d", threads: 2, memoryBytes: 5 },
    });
  });
});
