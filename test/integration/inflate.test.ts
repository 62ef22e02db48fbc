import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inflateModel, type InflateOptions } from "../../bench/models/inflate-model.js";
import { loadModel } from "../../lib/index.js";

const bundled = (name: string): string => fileURLToPath(new URL(`../../models/${name}`, import.meta.url));

const prompts = [
  "A generator function in Python is a function that",
  "The SELECT statement is used to",
  "import os\nimport sys\n\ndef main(",
];

/** Greedy ids after each prompt. Float KV: rounding of keys to int8 would depend on the head's width. */
async function greedyIds(path: string): Promise<readonly (readonly number[])[]> {
  using model = await loadModel(path, { threads: 2, kv: "f16" });
  const ids: (readonly number[])[] = [];
  for (const prompt of prompts) {
    using session = model.createSession();
    const { tokens } = await session.generate(prompt, { maxTokens: 24, temperature: 0 }).result;
    ids.push(tokens);
  }
  return ids;
}

describe("inflateModel", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "air-inflate-"));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  const cases: readonly {
    readonly name: string;
    readonly source: string;
    readonly options: InflateOptions;
  }[] = [
    {
      // Factors of 4 make every scale a power of two, so not even rounding may differ.
      name: "4 times the width and head width, wider groups, a new KV head and a new layer",
      source: "air-tiny-large-q4_0.gguf",
      options: {
        type: "Q4_0",
        shape: { width: 1024, layers: 9, queryHeads: 15, kvHeads: 5, headDim: 128, feedForward: 1024 },
      },
    },
    {
      name: "a tied output matrix, with tokens that repeat existing rows",
      source: "air-tiny-chat-draft-q8_0.gguf",
      options: {
        type: "Q8_0",
        shape: { width: 512, layers: 4, queryHeads: 9, kvHeads: 3, headDim: 128, feedForward: 512 },
        vocab: 5000,
      },
    },
  ];
  test.each(cases)("keeps the greedy output: $name", async ({ source, options }) => {
    const target = join(folder, source);
    await inflateModel(bundled(source), target, options);
    expect(await greedyIds(target)).toEqual(await greedyIds(bundled(source)));
  });
});
