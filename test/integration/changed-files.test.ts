/** What a loaded model says when its file is changed, in a process of its own: reading what was cut off would end it. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { smallFile } from "../support/tier-runtime.js";

const script = fileURLToPath(new URL("../support/spoil-file.ts", import.meta.url));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "air-changed-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Rejects when a signal ends the process. */
async function spoil(how: string) {
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--import",
    "tsx",
    script,
    smallFile,
    folder,
    how,
  ]);
  return JSON.parse(stdout) as {
    readonly packs: string;
    readonly before: string;
    readonly after: string | { readonly code: string; readonly message: string };
  };
}

describe("a loaded model", () => {
  test.each([
    ["cut", /model\.gguf but received one of 4096 bytes in place of \d+$/],
    ["overwrite", /model\.gguf but received one that was written to$/],
    ["cut-pack", /\.airpack but received one of 4096 bytes in place of \d+$/],
  ])("tells an error when its file is changed in place (%s)", async (how, message) => {
    const { packs, before, after } = await spoil(how);
    expect(packs).toBe(how === "cut-pack" ? "hit" : "written");
    expect(before).not.toBe("");
    expect(after).toMatchObject({ code: "AIR_ERR_IO", message: expect.stringMatching(message) as string });
  });

  test("goes on without guesses when the file of its draft model is cut", async () => {
    const { before, after } = await spoil("cut-draft");
    expect(before).not.toBe("");
    expect(after).toBe(before);
  });

  test.each(["replace", "remove"])("says the same when its file is gone (%s)", async (how) => {
    const { before, after } = await spoil(how);
    expect(before).not.toBe("");
    expect(after).toBe(before);
  });
});
