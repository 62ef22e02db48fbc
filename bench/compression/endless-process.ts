import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

import type { LoadModelOptions } from "../../lib/index.js";
import { at } from "../../lib/util/array-access.js";

/** What generate-endless.mjs is asked for. */
export interface EndlessRequest {
  readonly model: string;
  readonly tokens: number;
  /** Tokens between samples. Default 2000. */
  readonly every?: number;
  readonly load?: LoadModelOptions;
}

/** Memory of the process after so many generated tokens. */
export interface EndlessSample {
  readonly tokens: number;
  readonly rssBytes: number;
  readonly anonymousBytes: number;
  /** Of JavaScript, after garbage collection. */
  readonly heapBytes: number;
  readonly kvBytes: number;
  readonly pagesInUse: number;
}

/** What generate-endless.mjs prints. */
export interface EndlessReport {
  readonly generated: number;
  readonly finishReason: string;
  readonly samples: readonly EndlessSample[];
  readonly peakRssBytes: number;
  readonly decodeTokensPerSecond: number;
  readonly policy: string;
}

/** Generates in a process of its own, on the built package (dist/). */
export function generateEndless(request: EndlessRequest): EndlessReport {
  const child = fileURLToPath(new URL("generate-endless.mjs", import.meta.url));
  const output = execFileSync(process.execPath, ["--expose-gc", child, JSON.stringify(request)], {
    encoding: "utf8",
    maxBuffer: 2 ** 24,
  });
  return JSON.parse(output) as EndlessReport;
}

/** Resident memory once everything has been used that ever will be. */
export interface MemoryTrend {
  readonly firstBytes: number;
  readonly lastBytes: number;
  readonly leastBytes: number;
  readonly mostBytes: number;
  /** Least squares, of resident memory. */
  readonly bytesPerToken: number;
  /** The same of the JavaScript heap, which holds the text and its tokens. */
  readonly heapBytesPerToken: number;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Slope of the least squares line. */
function slope(points: readonly { readonly x: number; readonly y: number }[]): number {
  const meanX = mean(points.map(({ x }) => x));
  const meanY = mean(points.map(({ y }) => y));
  const covariance = mean(points.map(({ x, y }) => (x - meanX) * (y - meanY)));
  return covariance / mean(points.map(({ x }) => (x - meanX) ** 2));
}

/** The trend of the samples from `fromTokens` on, of which there have to be two. */
export function memoryTrend(samples: readonly EndlessSample[], fromTokens: number): MemoryTrend {
  const later = samples.filter(({ tokens }) => tokens >= fromTokens);
  const bytes = later.map(({ rssBytes }) => rssBytes);
  return {
    firstBytes: at(bytes, 0),
    lastBytes: at(bytes, bytes.length - 1),
    leastBytes: Math.min(...bytes),
    mostBytes: Math.max(...bytes),
    bytesPerToken: slope(later.map(({ tokens, rssBytes }) => ({ x: tokens, y: rssBytes }))),
    heapBytesPerToken: slope(later.map(({ tokens, heapBytes }) => ({ x: tokens, y: heapBytes }))),
  };
}
