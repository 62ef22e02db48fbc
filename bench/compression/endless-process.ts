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
  /** Least squares. */
  readonly bytesPerToken: number;
}

/** The trend of the samples from `fromTokens` on, of which there have to be two. */
export function memoryTrend(samples: readonly EndlessSample[], fromTokens: number): MemoryTrend {
  const later = samples.filter(({ tokens }) => tokens >= fromTokens);
  const bytes = later.map(({ rssBytes }) => rssBytes);
  const mean = (list: readonly number[]): number => list.reduce((sum, n) => sum + n, 0) / list.length;
  const meanTokens = mean(later.map(({ tokens }) => tokens));
  const meanBytes = mean(bytes);
  const covariance = mean(
    later.map(({ tokens, rssBytes }) => (tokens - meanTokens) * (rssBytes - meanBytes)),
  );
  const variance = mean(later.map(({ tokens }) => (tokens - meanTokens) ** 2));
  return {
    firstBytes: at(bytes, 0),
    lastBytes: at(bytes, bytes.length - 1),
    leastBytes: Math.min(...bytes),
    mostBytes: Math.max(...bytes),
    bytesPerToken: covariance / variance,
  };
}
