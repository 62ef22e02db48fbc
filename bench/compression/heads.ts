/**
 * What heads files of `air calibrate` cost and save: perplexity on the whole of eval.txt beside the whole model's and random
 * masks of the first file's size, K/V bytes as planned and as reserved, and resident memory of a process that fills its context.
 *
 *   npm run build && npx tsx bench/compression/heads.ts --dir DIR --model FILE --heads FILE[,FILE..] [--ctx 512]
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stdout } from "node:process";
import { parseArgs } from "node:util";

import { table } from "../../lib/cli/text.js";
import { invalidArgument } from "../../lib/errors/air-error.js";
import { formatHeadsFile, type HeadsFile, loadModel, perplexity, planModel } from "../../lib/index.js";
import { describeModel } from "../../lib/model/architecture.js";
import { readGguf } from "../../lib/model/gguf.js";
import { runFillContext } from "../memory/run-fill-context.js";
import { modelName, provenance, saveResults } from "../speculation/results.js";
import { change, mebibytes, readEvalTokens, requireFolder } from "./inputs.js";
import { randomHeads } from "./random-heads.js";

interface Row {
  readonly name: string;
  readonly maskedQueryHeads: number;
  readonly kvHeads: { readonly full: number; readonly stream: number; readonly dropped: number };
  readonly perplexity: number;
  readonly plannedKvBytes: number;
  readonly kvBytes: number;
  readonly rssBytes?: number;
  readonly weightBytes: number;
}

const memoryContext = 4096;
const randomMasks = 5;

function countClasses(heads: HeadsFile | undefined, all: number): Row["kvHeads"] {
  const classes = heads?.kvHeads.flat() ?? [];
  const count = (name: string): number => classes.filter((headClass) => headClass === name).length;
  return heads === undefined
    ? { full: all, stream: 0, dropped: 0 }
    : { full: count("full"), stream: count("stream"), dropped: count("dropped") };
}

/** Resident memory of a process that fills a context of 4096 tokens. */
function residentBytes(path: string | undefined): number {
  const load = { contextTokens: memoryContext, ...(path !== undefined && { heads: path }) };
  return runFillContext({ model: file, load }).rssBytes;
}

async function measure(name: string, path: string | undefined, withProcess: boolean): Promise<Row> {
  const heads = path === undefined ? undefined : (JSON.parse(readFileSync(path, "utf8")) as HeadsFile);
  const given = path === undefined ? {} : { heads: path };
  using model = await loadModel(file, { contextTokens: memoryContext, ...given });
  const tokens = readEvalTokens(dir, model);
  const scored = await perplexity(model, tokens, { contextTokens });
  const plan = await planModel(file, { contextTokens: memoryContext, ...given });
  const { kvBytes, weightBytes } = model.memory();
  if (process.stderr.isTTY) process.stderr.write(`${name} ${scored.perplexity}\n`);
  return {
    name,
    maskedQueryHeads: heads?.maskedQueryHeads.flat().length ?? 0,
    kvHeads: countClasses(heads, spec.layers * spec.kvHeads),
    perplexity: scored.perplexity,
    plannedKvBytes: plan.kvBytes,
    kvBytes,
    ...(withProcess && { rssBytes: residentBytes(path) }),
    weightBytes,
  };
}

/** Writes a mask of the size of the one in `path`, drawn at random. */
function writeRandom(path: string, seed: number): string {
  const template = JSON.parse(readFileSync(path, "utf8")) as HeadsFile;
  const count = template.maskedQueryHeads.flat().length;
  const random = randomHeads(template, spec, { count, layerCap: Math.floor(spec.queryHeads / 2), seed });
  const target = join(folder, `random-${seed}.json`);
  writeFileSync(target, formatHeadsFile(random));
  return target;
}

function format(rows: readonly Row[]): string {
  const base = rows[0]?.perplexity ?? NaN;
  const header = [
    ...["heads", "masked", "full", "stream", "dropped", "perplexity", "change"],
    ...["planned KV MiB", "KV MiB", "weights MiB", "RSS MiB"],
  ];
  const lines = rows.map((row) => [
    row.name,
    String(row.maskedQueryHeads),
    ...[row.kvHeads.full, row.kvHeads.stream, row.kvHeads.dropped].map(String),
    row.perplexity.toFixed(4),
    change(row.perplexity, base),
    ...[row.plannedKvBytes, row.kvBytes, row.weightBytes].map(mebibytes),
    row.rssBytes === undefined ? "" : mebibytes(row.rssBytes),
  ]);
  return `${table([header, ...lines], ["left", ...header.slice(1).map(() => "right" as const)])}\n`;
}

const { values } = parseArgs({
  options: {
    dir: { type: "string" },
    model: { type: "string" },
    heads: { type: "string" },
    ctx: { type: "string", default: "512" },
    out: { type: "string", default: "compression-heads" },
  },
});
const dir = requireFolder(values.dir);
const file = values.model ?? "";
if (file === "") throw invalidArgument("--model", "a GGUF file", values.model);
if (values.heads === undefined) throw invalidArgument("--heads", "heads files", values.heads);
const contextTokens = Number(values.ctx);
const { spec } = await describeModel(await readGguf(file));
const folder = mkdtempSync(join(tmpdir(), "air-heads-"));
const rows: Row[] = [];

/** Takes a row and writes all so far: each takes minutes on a small machine. */
function add(row: Row): void {
  rows.push(row);
  saveResults(values.out, {
    ...provenance("bench/compression/heads.ts"),
    settings: { model: modelName(file), kv: "int8", contextTokens, memoryContext },
    rows,
  });
}

try {
  add(await measure("whole model", undefined, true));
  const files = values.heads.split(",");
  for (const path of files) add(await measure(modelName(path), path, true));
  const masked = files.find((path) => {
    return (JSON.parse(readFileSync(path, "utf8")) as HeadsFile).maskedQueryHeads.flat().length > 0;
  });
  for (let seed = 1; masked !== undefined && seed <= randomMasks; seed += 1) {
    add(await measure(`random, seed ${seed}`, writeRandom(masked, seed), false));
  }
} finally {
  rmSync(folder, { recursive: true });
}
stdout.write(format(rows));
