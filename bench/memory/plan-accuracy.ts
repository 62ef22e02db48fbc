/**
 * What `air plan` promises against what Linux counts: each shape and setting in a process of its own, which loads the
 * model, fills its whole context and reports its resident memory.
 *
 *   npx tsx bench/memory/plan-accuracy.ts              # 6 models, 3 settings; some minutes, 2 GB of temporary files
 *   npx tsx bench/memory/plan-accuracy.ts --quick      # the bundled models only; writes nothing
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { table } from "../../lib/cli/text.js";
import { planModel } from "../../lib/index.js";
import { inflateModel } from "../models/inflate-model.js";
import { namedShapes } from "../models/shapes.js";
import { provenance, saveResults } from "../speculation/results.js";
import { runFillContext } from "./run-fill-context.js";

interface Setting {
  readonly kv: "int8" | "f16";
  readonly contextTokens: number;
  readonly sequences: number;
}

const settings: readonly Setting[] = [
  { kv: "int8", contextTokens: 4096, sequences: 1 },
  { kv: "f16", contextTokens: 2048, sequences: 1 },
  { kv: "int8", contextTokens: 512, sequences: 2 },
];
const bundled = ["air-tiny-chat-q4_0", "air-tiny-large-q4_0"];
const root = fileURLToPath(new URL("../../", import.meta.url));
const source = join(root, "models", "air-tiny-large-q4_0.gguf");

async function compare(model: string, file: string, setting: Setting) {
  const { kv, contextTokens, sequences } = setting;
  const measured = runFillContext({ model: file, sequences, load: { kv, contextTokens } });
  const { threads } = measured;
  const plan = await planModel(file, { kv, contextTokens, sequences, threads });
  const { weightBytes, embeddingBytes, kvBytes, bufferBytes, processBytes, totalBytes } = plan;
  return {
    model,
    ...setting,
    plan: { weightBytes, embeddingBytes, kvBytes, bufferBytes, processBytes, totalBytes },
    measured,
    error: totalBytes / measured.rssBytes - 1,
    peakError: totalBytes / measured.peakRssBytes - 1,
  };
}

const percent = (share: number): string => `${share >= 0 ? "+" : ""}${(share * 100).toFixed(1)}%`;
const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);

function print(results: readonly Awaited<ReturnType<typeof compare>>[]): void {
  const header = ["model", "KV", "context", "texts", "plan MiB", "RSS MiB", "error", "peak MiB", "error"];
  const rows = results.map(({ model, kv, contextTokens, sequences, plan, measured, error, peakError }) => [
    model,
    kv,
    String(contextTokens),
    String(sequences),
    mebibytes(plan.totalBytes),
    mebibytes(measured.rssBytes),
    percent(error),
    mebibytes(measured.peakRssBytes),
    percent(peakError),
  ]);
  const right = "right" as const;
  process.stdout.write(
    `${table([header, ...rows], ["left", "left", right, right, right, right, right, right, right])}\n`,
  );
  const worst = Math.max(...results.map(({ error }) => Math.abs(error)));
  process.stdout.write(`\nlargest error against RSS at the end: ${(worst * 100).toFixed(1)}%\n`);
}

const { values } = parseArgs({
  options: { quick: { type: "boolean", default: false }, shapes: { type: "string" } },
});
const shapes = values.quick ? [] : (values.shapes?.split(",") ?? Object.keys(namedShapes));
const folder = mkdtempSync(join(tmpdir(), "air-plan-"));
const results: Awaited<ReturnType<typeof compare>>[] = [];
try {
  for (const name of [...bundled, ...shapes]) {
    const shape = namedShapes[name];
    const file = shape === undefined ? join(root, "models", `${name}.gguf`) : join(folder, `${name}.gguf`);
    if (shape !== undefined) await inflateModel(source, file, { type: "Q4_0", shape });
    for (const setting of settings) {
      results.push(await compare(name, file, setting));
      if (process.stderr.isTTY) process.stderr.write(`${name} ${JSON.stringify(setting)}\n`);
    }
    if (shape !== undefined) rmSync(file);
  }
} finally {
  rmSync(folder, { recursive: true });
}
print(results);
if (!values.quick && values.shapes === undefined) {
  saveResults("plan-accuracy", { ...provenance("bench/memory/plan-accuracy.ts"), results });
}
