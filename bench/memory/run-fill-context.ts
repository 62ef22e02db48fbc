import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

import type { LoadModelOptions } from "../../lib/index.js";

/** What fill-context.mjs is asked to do. */
export interface FillRequest {
  /** A GGUF file. */
  readonly model: string;
  /** Texts of the whole context. Default 1. */
  readonly sequences?: number;
  readonly load: LoadModelOptions & { readonly contextTokens: number };
}

/** What fill-context.mjs reports; bytes as Linux tells them. */
export interface FilledContext {
  readonly rssBytes: number;
  readonly peakRssBytes: number;
  readonly anonymousBytes: number;
  readonly fileBytes: number;
  readonly sharedBytes: number;
  readonly samples: readonly {
    readonly computedTokens: number;
    readonly rssBytes: number;
    readonly anonymousBytes: number;
  }[];
  readonly threads: number;
  readonly memory: {
    readonly weightBytes: number;
    readonly kvBytes: number;
    readonly workspaceBytes: number;
  };
}

const script = fileURLToPath(new URL("fill-context.mjs", import.meta.url));

/** Loads a model, computes as many tokens as its contexts hold, and measures, all in a process of its own. */
export function runFillContext({ sequences = 1, ...request }: FillRequest): FilledContext {
  const argument = JSON.stringify({ sequences, ...request });
  const output = execFileSync(process.execPath, [script, argument], { encoding: "utf8" });
  return JSON.parse(output) as FilledContext;
}
