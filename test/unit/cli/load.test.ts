import { PassThrough } from "node:stream";

import { describe, expect, test } from "vitest";

import { progressBar } from "../../../lib/cli/load.js";

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
