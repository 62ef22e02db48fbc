/**
 * Time from starting `air generate` to its first token, weights packed and mapped from a pack cache in turns. The first
 * two runs warm the page cache and do not count. Needs dist/ and the addon (npm run build).
 *
 *   npx tsx bench/runtime/cold-start.ts -m FILE [--rounds 5] [--threads N] [--pack-cache DIR] [--json]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { describeMachine } from "../../lib/benchmark/machine.js";
import { percentile } from "../../lib/benchmark/statistics.js";
import { table } from "../../lib/cli/text.js";
import { loadAddon } from "../../lib/native/load.js";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

const { values: options } = parseArgs({
  options: {
    model: { type: "string", short: "m" },
    rounds: { type: "string", default: "5" },
    threads: { type: "string" },
    "pack-cache": { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const { model } = options;
if (model === undefined) throw new Error("expected a GGUF file for -m but received nothing");
const threads = options.threads === undefined ? [] : ["--threads", options.threads];
const generate = ["generate", "-m", model, ...threads, "--raw", "-n", "1", "The capital of France is"];

/** One start: milliseconds from before the process exists until it writes its first text, and what it remarks. */
async function start(packCache: string): Promise<{ readonly firstTokenMs: number; readonly notes: string }> {
  const started = performance.now();
  const child = spawn(process.execPath, [main, ...generate, "--pack-cache", packCache], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let firstTokenMs: number | undefined;
  let notes = "";
  child.stdout.on("data", () => (firstTokenMs ??= performance.now() - started));
  child.stderr.on("data", (text: Buffer) => (notes += text.toString()));
  const [status] = (await once(child, "close")) as [number | null];
  if (status !== 0 || firstTokenMs === undefined) throw new Error(`expected text but received: ${notes}`);
  return { firstTokenMs, notes };
}

const packed: number[] = [];
const mapped: number[] = [];
const own = mkdtempSync(join(tmpdir(), "air-cold-start-"));
const packCache = options["pack-cache"] ?? own;
try {
  for (const cache of ["", packCache]) await start(cache); // warms the page cache and writes the pack file
  for (let round = 0; round < Number(options.rounds); round += 1) {
    packed.push((await start("")).firstTokenMs);
    const { firstTokenMs, notes } = await start(packCache);
    if (!notes.includes("weights mapped")) throw new Error(`expected mapped weights but received: ${notes}`);
    mapped.push(firstTokenMs);
  }
} finally {
  rmSync(own, { recursive: true });
}

const machine = describeMachine(loadAddon());
const results = Object.entries({ packed, mapped }).map(([weights, ms]) => {
  return { weights, medianMs: percentile(ms, 0.5), minMs: Math.min(...ms), maxMs: Math.max(...ms), ms };
});
if (options.json) {
  process.stdout.write(`${JSON.stringify({ machine, model: basename(model), results })}\n`);
} else {
  const rows = results.map(({ weights, medianMs, minMs, maxMs }) => [
    weights,
    ...[medianMs, minMs, maxMs].map((ms) => ms.toFixed(0)),
  ]);
  const title = `${basename(model)}: ms from process start to first token, ${options.rounds} rounds`;
  const right = "right" as const;
  process.stdout.write(`${machine.cpu}, ${machine.isa}, node ${machine.node}\n${title}\n\n`);
  process.stdout.write(
    `${table([["weights", "median", "min", "max"], ...rows], ["left", right, right, right])}\n`,
  );
}
