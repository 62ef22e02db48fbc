/**
 * Perplexity by position in texts far longer than the model was trained for: full attention, a window without attention
 * sinks, and the window with sinks. The last one is also compared with the same window over a cache that drops nothing.
 *
 *   npx tsx bench/compression/streaming.ts --dir DIR [--kv f16] [--segments 6]
 */
import { join } from "node:path";
import { stdout } from "node:process";
import { parseArgs } from "node:util";

import { table } from "../../lib/cli/text.js";
import { negativeLogLikelihood } from "../../lib/compression/evaluate.js";
import {
  type EvictionPolicy,
  type KvType,
  loadModel,
  type LoadModelOptions,
  type Model,
  sinkWindow,
} from "../../lib/index.js";
import { at } from "../../lib/util/array-access.js";
import { provenance, saveResults } from "../speculation/results.js";
import { mebibytes, readEvalTokens, requireFolder } from "./inputs.js";

/** Reads the same tokens as sinkWindow() and forgets none. */
function withoutDrops(policy: EvictionPolicy): EvictionPolicy {
  return {
    name: `${policy.name}, all kept`,
    decide: (state) => ({ ...policy.decide(state), dropPages: [] }),
  };
}

const file = "air-tiny-large-f16.gguf";
const segmentTokens = 4096;
const binTokens = 256;
/** From here on every window is full. */
const lateFrom = 512;
const sinks = { windowTokens: 252, sinkTokens: 4 };
const settings = {
  "full attention": {},
  "window 256": { window: 256, sinks: 0 },
  "4 sinks + window 252": { window: sinks.windowTokens, sinks: sinks.sinkTokens },
} satisfies Record<string, LoadModelOptions>;

interface Curve {
  readonly name: string;
  readonly perplexity: number;
  /** Of tokens at positions from 512 on. */
  readonly latePerplexity: number;
  /** [bins] of 256 positions. */
  readonly byPosition: readonly number[];
  readonly kvBytes: number;
  readonly policy: string;
}

/** Segment i: BOS and 4095 tokens of the text from 13000 i on. */
function segment(tokens: Int32Array, { tokenizer }: Model, index: number): Int32Array {
  const ids = new Int32Array(segmentTokens);
  ids[0] = tokenizer.bosId ?? NaN;
  ids.set(tokens.subarray(13_000 * index, 13_000 * index + segmentTokens - 1), 1);
  return ids;
}

async function measure(name: string, options: LoadModelOptions): Promise<Curve> {
  using model = await loadModel(path, { kv, contextTokens: segmentTokens, prefixCache: false, ...options });
  const tokens = readEvalTokens(dir, model);
  const sums = new Float64Array(segmentTokens); // by position of the token that is predicted
  for (let index = 0; index < segments; index += 1) {
    const ids = segment(tokens, model, index);
    await model.evaluate(ids, {
      onRow: (row, position) => {
        const next = ids[position + 1];
        if (next === undefined) return;
        sums[position + 1] = at(sums, position + 1) + negativeLogLikelihood(model.rowOps, row, next);
      },
    });
  }
  const between = (from: number, to: number): number => {
    const part = sums.subarray(Math.max(1, from), to);
    return Math.exp(part.reduce((sum, nll) => sum + nll, 0) / (part.length * segments));
  };
  const bins = Array.from({ length: segmentTokens / binTokens }, (_, bin) => bin * binTokens);
  return {
    name,
    perplexity: between(1, segmentTokens),
    latePerplexity: between(lateFrom, segmentTokens),
    byPosition: bins.map((from) => between(from, from + binTokens)),
    kvBytes: model.memory().kvBytes,
    policy: model.info.policy,
  };
}

/** Largest difference of any logit, all positions of segment 0, between dropping pages and masking them. */
async function largestDifference(): Promise<number> {
  const common = { kv, contextTokens: segmentTokens, prefixCache: false };
  using dropping = await loadModel(path, { ...common, window: sinks.windowTokens, sinks: sinks.sinkTokens });
  using keeping = await loadModel(path, { ...common, policy: withoutDrops(sinkWindow(sinks)) });
  const ids = segment(readEvalTokens(dir, dropping), dropping, 0);
  let largest = 0;
  const rows = new Map<number, Float32Array>();
  // In parts, because all rows of a segment would be 64 MiB.
  for (let from = 0; from < ids.length; from += 1024) {
    const fed = ids.subarray(0, from + 1024);
    await keeping.evaluate(fed, {
      logitsFrom: from,
      onRow: (row, position) => void rows.set(position, row.slice()),
    });
    await dropping.evaluate(fed, {
      logitsFrom: from,
      onRow: (row, position) => {
        const other = rows.get(position) ?? new Float32Array();
        for (const [id, logit] of row.entries()) {
          largest = Math.max(largest, Math.abs(logit - (other[id] ?? Infinity)));
        }
        rows.delete(position);
      },
    });
  }
  return largest;
}

const { values } = parseArgs({
  options: {
    dir: { type: "string" },
    kv: { type: "string", default: "f16" },
    segments: { type: "string", default: "6" },
  },
});
const dir = requireFolder(values.dir);
const path = join(dir, file);
const kv = values.kv as KvType;
const segments = Number(values.segments);
const curves: Curve[] = [];
for (const [name, options] of Object.entries(settings)) curves.push(await measure(name, options));
const difference = await largestDifference();

const header = ["attention", "perplexity", `from ${lateFrom}`, "first 256", "last 256", "KV MiB"];
const lines = curves.map(({ name, perplexity, latePerplexity, byPosition, kvBytes }) => [
  name,
  ...[perplexity, latePerplexity, at(byPosition, 0), byPosition.at(-1) ?? NaN].map((n) => n.toFixed(4)),
  mebibytes(kvBytes),
]);
stdout.write(`${table([header, ...lines], ["left", ...header.slice(1).map(() => "right" as const)])}\n\n`);
stdout.write(
  `largest difference of a logit from the same window over a cache that keeps everything, ` +
    `${segmentTokens} positions: ${difference}\n`,
);
if (segments === 6) {
  saveResults(`compression-streaming-${kv}`, {
    ...provenance("bench/compression/streaming.ts"),
    settings: { model: file, kv, segments, segmentTokens, binTokens, lateFrom },
    curves,
    largestDifferenceFromKeepingAll: difference,
  });
}
