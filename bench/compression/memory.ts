/**
 * Memory of a model of real size with a full context, each step of compression alone and combined: K/V bytes, buffers, and
 * what Linux counts for a process that computes 4096 tokens. Weights are mapped from a pack cache. Perplexity with the heads
 * file, in windows of 1024, is measured on the same model.
 *
 *   npm run build && npx tsx bench/models/inflate.ts models/air-tiny-large-q4_0.gguf 1.1b-q4_0.gguf --shape 1.1b
 *   npx tsx bench/compression/memory.ts --dir DIR --model 1.1b-q4_0.gguf --heads FILE --heads-model air-tiny-large-f16.gguf
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stdout } from "node:process";
import { parseArgs } from "node:util";

import { table } from "../../lib/cli/text.js";
import { invalidArgument } from "../../lib/errors/air-error.js";
import { formatHeadsFile, loadModel, type LoadModelOptions, perplexity } from "../../lib/index.js";
import { describeModel } from "../../lib/model/architecture.js";
import { fingerprintModel } from "../../lib/model/fingerprint.js";
import { readGguf } from "../../lib/model/gguf.js";
import { readHeadsFile } from "../../lib/model/heads-file.js";
import { type FilledContext, runFillContext } from "../memory/run-fill-context.js";
import { modelName, provenance, saveResults } from "../speculation/results.js";
import { inflatedHeads, type HeadsOwner } from "./inflated-heads.js";
import { change, mebibytes, readEvalTokens, requireFolder } from "./inputs.js";

interface Row extends FilledContext {
  readonly name: string;
}

const contextTokens = 4096;
const window = { window: 252, sinks: 4 };

async function headsOwner(path: string): Promise<HeadsOwner> {
  const gguf = await readGguf(path);
  const { spec } = await describeModel(gguf);
  return { fingerprint: await fingerprintModel(gguf), spec, name: modelName(path) };
}

async function perplexityOf(load: LoadModelOptions): Promise<number> {
  using model = await loadModel(file, { packCache, contextTokens: 1024, ...load });
  const tokens = readEvalTokens(dir, model).subarray(0, perplexityWindows * 1023);
  return (await perplexity(model, tokens, { contextTokens: 1024 })).perplexity;
}

function format(rows: readonly Row[]): string {
  const header = [
    ...["setting", "KV MiB", "less", "buffers MiB", "KV + buffers", "less", "RSS MiB", "peak MiB"],
    ...["without weights", "less"],
  ];
  const parts = rows.map(({ name, memory: { kvBytes, workspaceBytes, weightBytes }, ...filled }) => ({
    name,
    ...{ kvBytes, workspaceBytes, ...filled },
    sumBytes: kvBytes + workspaceBytes,
    restBytes: filled.peakRssBytes - weightBytes,
  }));
  const [base] = parts;
  const less = (bytes: number, of: number | undefined): string =>
    `${((1 - bytes / (of ?? NaN)) * 100).toFixed(1)}%`;
  const lines = parts.map((part) => [
    part.name,
    ...[mebibytes(part.kvBytes), less(part.kvBytes, base?.kvBytes), mebibytes(part.workspaceBytes)],
    ...[mebibytes(part.sumBytes), less(part.sumBytes, base?.sumBytes)],
    ...[part.rssBytes, part.peakRssBytes, part.restBytes].map(mebibytes),
    less(part.restBytes, base?.restBytes),
  ]);
  return `${table([header, ...lines], ["left", ...header.slice(1).map(() => "right" as const)])}\n`;
}

const { values } = parseArgs({
  options: {
    dir: { type: "string" },
    model: { type: "string" },
    heads: { type: "string" },
    "heads-model": { type: "string" },
    windows: { type: "string", default: "8" },
  },
});
const dir = requireFolder(values.dir);
function required(name: "model" | "heads" | "heads-model"): string {
  const value = values[name];
  if (value === undefined) throw invalidArgument(`--${name}`, "a file", value);
  return value;
}
const file = required("model");
const perplexityWindows = Number(values.windows);
const source = await headsOwner(required("heads-model"));
const heads = await readHeadsFile(required("heads"), source);
const folder = mkdtempSync(join(tmpdir(), "air-compression-"));
const packCache = join(folder, "packed");
const headsPath = join(folder, "heads.json");
const rows: Row[] = [];
try {
  writeFileSync(headsPath, formatHeadsFile(inflatedHeads(heads, source.spec, await headsOwner(file))));
  const withHeads = { heads: headsPath };
  const settings: Readonly<Record<string, LoadModelOptions>> = {
    f16: { kv: "f16" },
    int8: { kv: "int8" },
    int4: { kv: "int4" },
    "f16, heads": { kv: "f16", ...withHeads },
    "int8, heads": { kv: "int8", ...withHeads },
    "int8, window": { kv: "int8", ...window },
    "int4, heads": { kv: "int4", ...withHeads },
    "int4, heads, window": { kv: "int4", ...withHeads, ...window },
  };
  // The loads that write the pack caches, of all weights and of those that the heads file leaves.
  for (const load of [{}, withHeads])
    (await loadModel(file, { packCache, contextTokens: 64, ...load })).close();
  for (const [name, load] of Object.entries(settings)) {
    rows.push({ name, ...runFillContext({ model: file, load: { packCache, contextTokens, ...load } }) });
    if (process.stderr.isTTY) process.stderr.write(`${name}\n`);
  }
  stdout.write(format(rows));
  const perplexities = {
    whole: await perplexityOf({ kv: "f16" }),
    heads: await perplexityOf({ kv: "int8", ...withHeads }),
  };
  stdout.write(
    `\nperplexity over ${perplexityWindows} windows of 1024: f16 ${perplexities.whole.toFixed(4)}, int8 with heads ` +
      `${perplexities.heads.toFixed(4)} (${change(perplexities.heads, perplexities.whole)})\n`,
  );
  saveResults("compression-memory", {
    ...provenance("bench/compression/memory.ts"),
    settings: { model: modelName(file), contextTokens, ...window, perplexityWindows },
    kvHeads: heads.kvHeads,
    perplexities,
    rows,
  });
} finally {
  rmSync(folder, { recursive: true });
}
