import { spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, expect, test } from "vitest";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "air-chat-"));
const file = join(folder, "today.air");

afterAll(() => {
  rmSync(folder, { recursive: true });
});

function chat(line: string) {
  const args = [main, "chat", "--session", file, "--temp", "0"];
  return spawnSync(process.execPath, args, { input: `${line}\n`, encoding: "utf8" });
}

test("air chat --session goes on where the last chat ended, and does not replace a file that it cannot use", () => {
  expect(chat("What is 12 times 7?").stdout).toBe("12 times 7 is 84.\n");
  const second = chat("What is 3 times 4?");
  expect(second.stdout).toBe("3 times 4 is 12.\n");
  expect(second.stderr).toContain("(2 messages)");
  appendFileSync(file, "x");
  const third = chat("What is 3 times 5?");
  expect([third.status, third.stdout]).toEqual([1, ""]);
  expect(third.stderr).toContain("AIR_ERR_SESSION_FILE");
});
