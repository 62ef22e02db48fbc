/**
 * Memory of a text without end: tokens generated with sinks and a window, in a process of its own that reports what it
 * takes as it goes.
 *
 *   npm run build && npx tsx bench/compression/endless.ts [--model FILE] [--tokens 100000] [--window 252] [--sinks 4]
 */
import { stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { table } from "../../lib/cli/text.js";
import { modelName, provenance, saveResults } from "../speculation/results.js";
import { generateEndless, memoryTrend } from "./endless-process.js";
import { mebibytes } from "./inputs.js";

const bundled = fileURLToPath(new URL("../../models/air-tiny-chat-q4_0.gguf", import.meta.url));
const { values } = parseArgs({
  options: {
    model: { type: "string", default: bundled },
    tokens: { type: "string", default: "100000" },
    window: { type: "string", default: "252" },
    sinks: { type: "string", default: "4" },
    out: { type: "string" },
  },
});
const tokens = Number(values.tokens);
const load = { window: Number(values.window), sinks: Number(values.sinks) };
const report = generateEndless({ model: values.model, tokens, load });
const trend = memoryTrend(report.samples, 5000);

const header = ["tokens", "RSS MiB", "anonymous MiB", "JS heap MiB", "KV MiB", "pages in use"];
const lines = report.samples
  .filter((_, index) => report.samples.length <= 20 || (index + 1) % 5 === 0 || index === 0)
  .map(({ tokens: count, rssBytes, anonymousBytes, heapBytes, kvBytes, pagesInUse }) => [
    String(count),
    ...[rssBytes, anonymousBytes, heapBytes, kvBytes].map(mebibytes),
    String(pagesInUse),
  ]);
stdout.write(
  `${table(
    [header, ...lines],
    header.map(() => "right" as const),
  )}\n\n`,
);
stdout.write(
  `RSS after the first 5000 tokens: first ${mebibytes(trend.firstBytes)}, last ${mebibytes(trend.lastBytes)}, ` +
    `least ${mebibytes(trend.leastBytes)}, most ${mebibytes(trend.mostBytes)} MiB; ` +
    `slope ${trend.bytesPerToken.toFixed(1)} bytes a token, ` +
    `of the JavaScript heap ${trend.heapBytesPerToken.toFixed(1)}\n` +
    `${report.decodeTokensPerSecond.toFixed(0)} tokens per second\n`,
);
saveResults(values.out ?? "compression-endless", {
  ...provenance("bench/compression/endless.ts"),
  settings: { model: modelName(values.model), tokens, ...load },
  trend,
  ...report,
});
