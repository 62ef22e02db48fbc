import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { repetitivePrompts } from "../../bench/prompts/repetitive.js";
import { measureCosts } from "../../bench/speculation/costs.js";
import { draftRanks, greedyText, textTokens } from "../../bench/speculation/draft-views.js";
import { readPromptDomains, specPromptsFile } from "../../bench/speculation/prompt-sets.js";
import { writeRandomModel } from "../../bench/speculation/random-model.js";
import { simulateTree } from "../../bench/speculation/tree-simulation.js";
import { loadModel, type Model, type SpeculationOptions } from "../../lib/index.js";
import { loadModelParts } from "../../lib/runtime/load-model.js";

function bundled(name: string): string {
  return fileURLToPath(new URL(`../../models/${name}.gguf`, import.meta.url));
}

const lookup: SpeculationOptions = { proposers: ["ngram"], adaptive: false };
const twoAhead: SpeculationOptions = { proposers: ["draft-model"], maxDraftTokens: 2, adaptive: false };
const chatFile = bundled("air-tiny-chat-q4_0");
const draftFile = bundled("air-tiny-chat-draft-q8_0");

describe("the prompts for benches", () => {
  let model: Model;

  beforeAll(async () => {
    model = await loadModel(chatFile);
  });

  afterAll(() => {
    model.close();
  });

  test.each(repetitivePrompts)(
    "the bundled model answers as expected: $name",
    async ({ messages, expected }) => {
      using session = model.createSession();
      const { text, finishReason } = await session.generate(messages, { maxTokens: 256 }).result;
      expect(text).toBe(expected);
      expect(finishReason).toBe("stop");
    },
  );

  test.each(repetitivePrompts)("the answer repeats the prompt: $name", async ({ messages }) => {
    using session = model.createSession();
    const { speculative } = await session.generate(messages, {
      maxTokens: 256,
      speculation: lookup,
    }).result;
    expect(speculative?.meanAcceptanceLength).toBeGreaterThan(3);
  });

  test("spec-prompts.json has twenty prompts of each domain, whose texts encode to their ids", () => {
    const domains = readPromptDomains(specPromptsFile, 20);
    expect(domains.map(({ domain, prompts }) => `${domain} ${prompts.length}`)).toEqual([
      "prose 20",
      "code 20",
      "chat 20",
    ]);
    for (const { ids, text } of domains.flatMap(({ prompts }) => prompts)) {
      expect([ids[0], ...model.tokenizer.encode(text, { special: true, bos: false })]).toEqual(ids);
    }
  });
});

describe("a draft model of random weights", () => {
  test("loads beside the target and is hardly ever right", async () => {
    const folder = await mkdtemp(join(tmpdir(), "air-random-"));
    try {
      const random = join(folder, "random.gguf");
      await writeRandomModel(draftFile, random);
      using model = await loadModel(chatFile, { draft: random });
      using session = model.createSession();
      const { speculative } = await session.generate("What is 12 times 7?", {
        maxTokens: 64,
        ignoreEos: true,
        speculation: twoAhead,
      }).result;
      expect(speculative?.drafted).toBeGreaterThan(60);
      expect(speculative?.acceptanceRate).toBeLessThan(0.1);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("simulateTree", () => {
  test("accepts as many tokens of a chain as a session does", async () => {
    using model = await loadModel(chatFile, { draft: draftFile });
    using draft = await loadModel(draftFile);
    const [chat] = readPromptDomains(specPromptsFile, 6).filter(({ domain }) => domain === "chat");
    const ranks: (readonly number[])[] = [];
    let accepted = 0;
    for (const { ids, text } of chat?.prompts ?? []) {
      ranks.push(await draftRanks(draft, { prompt: ids, tokens: await greedyText(model, text) }));
      using session = model.createSession();
      const { speculative } = await session.generate(text, {
        special: true,
        maxTokens: textTokens,
        speculation: twoAhead,
      }).result;
      accepted += speculative?.accepted ?? 0;
    }
    const chain = { depth: 2, siblingDepths: 0, width: 1 };
    expect(simulateTree(ranks, chain, textTokens).accepted).toBe(accepted);
    expect(accepted).toBeGreaterThan(20);
  });
});

describe("measureCosts", () => {
  test("times steps by rows, and the draft model's", async () => {
    const parts = await loadModelParts(chatFile, { draft: draftFile, threads: 1 });
    const { rowMs, draftMs } = await measureCosts(parts, 16, 3);
    for (const handle of [parts, parts.draft].flatMap((part) => [part?.runner, part?.arena, part?.native])) {
      handle?.close();
    }
    expect(rowMs).toHaveLength(16);
    expect(rowMs[15]).toBeGreaterThan(rowMs[0] ?? Infinity);
    expect(draftMs).toBeLessThan(rowMs[0] ?? 0);
  });
});
