/**
 * What precisions of the KV cache do to predictions: every pair of key and value precision against float16, keys as they
 * are and rotated, on the beginning of eval.txt.
 *
 *   npx tsx bench/compression/precision.ts --dir DIR [--windows 100] [--models air-tiny-large-f16,air-tiny-chat-f16]
 */
import { join } from "node:path";
import { stdout } from "node:process";
import { parseArgs } from "node:util";

import { table } from "../../lib/cli/text.js";
import {
  divergence,
  type DivergenceResult,
  type KvType,
  loadModel,
  type NativeAddon,
} from "../../lib/index.js";
import { loadAddon } from "../../lib/native/load.js";
import { provenance, saveResults } from "../speculation/results.js";
import { change, readEvalTokens, requireFolder } from "./inputs.js";
import { remembered } from "./remembered-model.js";

interface Setting {
  readonly keys: KvType;
  readonly values: KvType;
  readonly rotateKeys: boolean;
}

interface Row extends Setting {
  readonly model: string;
  /** Of K and V, all layers. */
  readonly kvBytesPerToken: number;
  readonly result: DivergenceResult;
}

const contextTokens = 512;
const types = ["f16", "int8", "int4"] as const;
/** Rotation is for integers: it spreads what would be their largest value. */
const settings: readonly Setting[] = types.flatMap((keys) =>
  (keys === "f16" ? [false] : [false, true]).flatMap((rotateKeys) =>
    types.map((values) => ({ keys, values, rotateKeys })),
  ),
);

/** The addon with rotated keys, whatever the runtime asks for. */
function rotating(addon: NativeAddon, rotateKeys: boolean): NativeAddon {
  return { ...addon, createArena: (model, options) => addon.createArena(model, { ...options, rotateKeys }) };
}

async function measure(file: string, name: string, windows: number): Promise<readonly Row[]> {
  const common = { contextTokens, prefixCache: false };
  using exact = await loadModel(file, { ...common, kv: "f16", addon: rotating(loadAddon(), false) });
  const reference = remembered(exact);
  const tokens = readEvalTokens(dir, exact).subarray(0, windows * (contextTokens - 1));
  const rows: Row[] = [];
  for (const { keys, values, rotateKeys } of settings) {
    using model = await loadModel(file, {
      ...common,
      kvKeys: keys,
      kvValues: values,
      addon: rotating(loadAddon(), rotateKeys),
    });
    const result = await divergence(model, reference, tokens, { contextTokens });
    const { kvBytes } = model.memory();
    const pages = model.stats.usablePages + 1; // the null page
    rows.push({ model: name, keys, values, rotateKeys, kvBytesPerToken: kvBytes / (pages * 32), result });
    if (process.stderr.isTTY) process.stderr.write(`${name} ${keys} ${values} ${rotateKeys}\n`);
  }
  return rows;
}

function format(rows: readonly Row[]): string {
  const header = [
    ...["model", "keys", "values", "bytes/token", "mean KL", "p99 KL", "same top", "perplexity", "change"],
  ];
  const lines = rows.map(({ model, keys, values, rotateKeys, kvBytesPerToken, result }) => [
    model,
    rotateKeys ? `${keys}, rotated` : keys,
    values,
    kvBytesPerToken.toFixed(0),
    result.meanDivergence.toFixed(6),
    result.p99Divergence.toFixed(5),
    `${(result.sameTopRate * 100).toFixed(2)}%`,
    result.model.perplexity.toFixed(4),
    change(result.model.perplexity, result.reference.perplexity),
  ]);
  const left = ["left", "left", "left"] as const;
  return `${table([header, ...lines], [...left, ...header.slice(3).map(() => "right" as const)])}\n`;
}

const { values } = parseArgs({
  options: {
    dir: { type: "string" },
    windows: { type: "string", default: "100" },
    models: { type: "string", default: "air-tiny-large-f16,air-tiny-chat-f16" },
    quick: { type: "boolean", default: false },
  },
});
const dir = requireFolder(values.dir);
const windows = values.quick ? 2 : Number(values.windows);
const rows: Row[] = [];
for (const name of values.models.split(",")) {
  rows.push(...(await measure(join(dir, `${name}.gguf`), name, windows)));
}
stdout.write(format(rows));
if (!values.quick) {
  saveResults("compression-precision", {
    ...provenance("bench/compression/precision.ts"),
    settings: { contextTokens, windows },
    rows,
  });
}
