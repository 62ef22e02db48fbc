import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect } from "vitest";

import { loadModel } from "../../lib/index.js";
import { createDice } from "./dice.js";

const script = fileURLToPath(new URL("save-in-a-loop.ts", import.meta.url));

/** Runs a process that saves in a loop, and kills it `delayMs` after its first save, or after its start. */
async function saveUntilKilled(
  model: string,
  file: string,
  delayMs: number,
  fromStart: boolean,
): Promise<void> {
  const child = spawn(process.execPath, ["--import", "tsx", script, model, file], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise<NodeJS.Signals | null>((resolve) => {
    child.once("exit", (_code, signal) => {
      resolve(signal);
    });
  });
  if (!fromStart) await new Promise((resolve) => child.stdout.once("data", resolve));
  await new Promise((resolve) => setTimeout(resolve, delayMs));
  child.kill("SIGKILL");
  expect(await exited).toBe("SIGKILL");
}

/**
 * Kills processes that save a session, at random times; after each there is a whole file or none.
 *
 * @returns how many kills left a half-written file beside it, which shows that they hit
 */
export async function killSaves(model: string, kills: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "air-kill-"));
  const file = join(folder, "session.air");
  const dice = createDice(kills);
  using loaded = await loadModel(model, { contextTokens: 1024 });
  let hits = 0;
  try {
    for (let kill = 0; kill < kills; kill += 1) {
      const fromStart = kill === 0;
      await saveUntilKilled(model, file, fromStart ? 20 : dice(120), fromStart);
      if (fromStart) expect(readdirSync(folder)).toEqual([]);
      const rest = readdirSync(folder).filter((name) => name.endsWith(".tmp"));
      hits += rest.length > 0 ? 1 : 0;
      for (const name of rest) rmSync(join(folder, name));
      if (!existsSync(file)) continue;
      using session = loaded.createSession();
      await session.restore(file);
    }
    expect(existsSync(file)).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
  return hits;
}
