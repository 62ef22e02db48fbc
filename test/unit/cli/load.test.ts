import { PassThrough } from "node:stream";

import { describe, expect, test } from "vitest";

import { noteFewerThreads, notePackCache, progressBar } from "../../../lib/cli/load.js";

function drawBar({ isTTY }: { readonly isTTY: boolean }): string {
  const stderr = Object.assign(new PassThrough(), { isTTY });
  const io = { stdin: new PassThrough(), stdout: new PassThrough(), stderr, signal: AbortSignal.abort() };
  const signals = () => ["SIGINT", "SIGTERM"].map((name) => process.listenerCount(name));
  const before = signals();
  const bar = progressBar(io, "loading");
  bar.update(0.5);
  expect(signals()).toEqual(before);
  bar.stop();
  return (stderr.read() as Buffer | null)?.toString() ?? "";
}

function noted(...report: Parameters<typeof notePackCache>[1][]): string {
  const stderr = new PassThrough();
  const io = { stdin: new PassThrough(), stdout: new PassThrough(), stderr, signal: AbortSignal.abort() };
  for (const one of report) notePackCache(io, one);
  return (stderr.read() as Buffer | null)?.toString() ?? "";
}

describe("notePackCache", () => {
  test("says in one line what came of the cache, and nothing without one", () => {
    expect(noted(undefined)).toBe("");
    expect(noted({ outcome: "hit", file: "a" })).toBe("air: weights mapped from a\n");
    expect(noted({ outcome: "written", file: "a" })).toBe("air: packed weights written to a\n");
    expect(noted({ outcome: "written", file: "a", reason: "it was old" })).toBe(
      "air: packed weights written to a (it was old)\n",
    );
    expect(noted({ outcome: "unwritten", file: "a", reason: "the disk is full" })).toBe(
      "air: packed weights were not kept: the disk is full\n",
    );
  });
});

describe("progressBar", () => {
  test("is drawn on a terminal, without settings that an interrupted process would leave behind", () => {
    const drawn = drawBar({ isTTY: true });
    expect(drawn).toContain("loading");
    expect(drawn).not.toContain("\u001b[?25l"); // hides the cursor
    expect(drawn).not.toContain("\u001b[?7l"); // turns line wrapping off
  });

  test("is silent elsewhere", () => {
    expect(drawBar({ isTTY: false })).toBe("");
  });
});

describe("noteFewerThreads", () => {
  const noteFor = (
    options: { readonly threads?: number; readonly cpuList?: readonly number[] },
    threads: number,
  ) => {
    const stderr = new PassThrough();
    const io = { stdin: new PassThrough(), stdout: new PassThrough(), stderr, signal: AbortSignal.abort() };
    noteFewerThreads(io, { kv: "int8", ...options }, threads);
    return (stderr.read() as Buffer | null)?.toString() ?? "";
  };

  test("says that the quota left fewer threads than were asked for", () => {
    const reason = "threads: the cgroup's CPU quota allows no more";
    expect(noteFor({ threads: 8 }, 2)).toContain(`using 2 of 8 ${reason}`);
    expect(noteFor({ cpuList: [0, 1, 4] }, 2)).toContain(`using 2 of 3 ${reason}`);
  });

  test("is silent where all were granted or none were asked for", () => {
    expect(noteFor({ threads: 2 }, 2)).toBe("");
    expect(noteFor({ threads: 1, cpuList: [0, 1] }, 1)).toBe("");
    expect(noteFor({}, 1)).toBe("");
  });
});
