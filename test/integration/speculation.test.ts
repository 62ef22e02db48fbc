import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";

import { type GenerateOptions, loadModel, type Model, type SpeculativeReport } from "../../lib/index.js";
import { draftings, evalPrompts, greedyTokens, modelFile } from "../support/speculation-equality.js";
import { writeUselessDraft } from "../support/useless-draft.js";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const target = modelFile("air-tiny-large-q4_0.gguf");
const draft = modelFile("air-tiny-draft-q8_0.gguf");
const fixed = { proposers: ["ngram", "draft-model"], maxDraftTokens: 4, adaptive: false } as const;

describe("a model with a draft model", () => {
  let model: Model;

  beforeAll(async () => {
    model = await loadModel(target, { draft, kvTokens: 4096 });
  });
  afterAll(() => {
    model.close();
  });

  test("gives the greedy text with every proposer and 1 to 8 draft tokens", async () => {
    for (const prompt of evalPrompts(10)) {
      const expected = await greedyTokens(model, prompt, 48);
      for (const drafting of draftings) {
        expect(await greedyTokens(model, prompt, 48, drafting), JSON.stringify(drafting)).toEqual(expected);
      }
    }
  });

  test("gives four texts at once as each alone, adaptive, fixed and sampled", async () => {
    const prompts = evalPrompts(4);
    for (const options of [
      { speculation: "auto" },
      { speculation: fixed },
      { speculation: fixed, temperature: 0.9, topP: 0.95, seed: 11 },
    ] as const) {
      const generate = async (prompt: string, speculation: typeof options.speculation | "off") => {
        using session = model.createSession();
        return (await session.generate(prompt, { maxTokens: 64, ...options, speculation }).result).tokens;
      };
      const together = await Promise.all(prompts.map((prompt) => generate(prompt, options.speculation)));
      for (const [index, prompt] of prompts.entries()) {
        expect(together[index]).toEqual(await generate(prompt, "off"));
      }
    }
    const { stats } = model;
    expect(stats.freePages).toBe(stats.usablePages);
    expect(stats.draft?.freePages).toBe(stats.draft?.usablePages);
  });

  test("accepts about as many guesses as the pair is known for", async () => {
    let drafted = 0;
    let accepted = 0;
    for (const prompt of evalPrompts(40)) {
      using session = model.createSession();
      const speculation = { proposers: ["draft-model"], maxDraftTokens: 1, adaptive: false } as const;
      const { speculative } = await session.generate(prompt, { maxTokens: 64, speculation }).result;
      drafted += speculative?.drafted ?? 0;
      accepted += speculative?.accepted ?? 0;
    }
    // 0.76 on prose and 0.73 on code with F16 weights; these are quantised, and the prompts are others.
    expect(accepted / drafted).toBeGreaterThan(0.65);
    expect(accepted / drafted).toBeLessThan(0.88);
  });

  test("takes the drafts of one text along to the next of the session", async () => {
    using session = model.createSession();
    const speculation = { proposers: ["ngram"], maxDraftTokens: 8, adaptive: false } as const;
    const prompt = evalPrompts(3)[1] ?? "";
    const first = await session.generate(prompt, { maxTokens: 48, speculation }).result;
    const again = await session.generate(prompt, { maxTokens: 48, speculation }).result;
    expect(again.tokens).toEqual(first.tokens);
    expect(again.speculative?.acceptanceRate).toBeGreaterThan(0.9);
  });
});

describe("a draft model of noise", () => {
  const folder = mkdtempSync(join(tmpdir(), "air-draft-"));
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  test("is switched off, and the report says why", async () => {
    const useless = join(folder, "useless.gguf");
    await writeUselessDraft(draft, useless);
    using model = await loadModel(target, { draft: useless });
    using session = model.createSession();
    const speculation = { proposers: ["draft-model"] } as const;
    const { speculative, tokens } = await session.generate("The", { maxTokens: 200, speculation }).result;
    expect(tokens).toEqual(await greedyTokens(model, "The", 200));
    expect(speculative?.drafted).toBeLessThan(40);
    expect(speculative?.disabledReason).toMatch(/^not worth it now \(draft-model: \d+% of first guesses/);
  });
});

describe("a chat model with a schema", () => {
  const command = z.object({ device: z.string().max(20), state: z.enum(["on", "off"]) });
  const prompts = ["Turn on the kitchen lamp", "What is 12 times 7?", "Switch the heater off"];

  test.each([0, 1])(
    "answers with the same valid JSON however it is drafted, at temperature %d",
    async (temperature) => {
      using model = await loadModel(modelFile("air-tiny-chat-q4_0.gguf"), {
        draft: modelFile("air-tiny-chat-draft-q8_0.gguf"),
      });
      for (const [seed, content] of prompts.entries()) {
        const answer = async (speculation: NonNullable<GenerateOptions["speculation"]>) => {
          using session = model.createSession();
          const options = { schema: command, maxTokens: 64, temperature, seed, speculation };
          return (await session.generate([{ role: "user", content }], options).result).text;
        };
        const plain = await answer("off");
        expect(command.parse(JSON.parse(plain))).toBeDefined();
        expect(await answer(fixed)).toBe(plain);
        expect(await answer("auto")).toBe(plain);
        const recovered = await answer({ ...fixed, acceptance: "rejection" });
        expect(command.parse(JSON.parse(recovered))).toBeDefined();
      }
    },
  );
});

describe("air generate --draft", () => {
  function run(...args: readonly string[]): { text: string; speculative?: SpeculativeReport } {
    const command = ["generate", "-m", target, "--raw", "-n", "48", "--json", ...args];
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...command], { encoding: "utf8" });
    expect(status, stderr).toBe(0);
    return JSON.parse(stdout) as { text: string; speculative?: SpeculativeReport };
  }

  test("prints the text that it prints without, and what came of the guesses", () => {
    const prompt = "The SELECT statement is";
    const plain = run("--draft", "off", prompt);
    expect(plain).not.toHaveProperty("speculative");
    const { text, speculative } = run("--draft", draft, "--draft-max", "4", prompt);
    expect(text).toBe(plain.text);
    expect(speculative).toMatchObject({ proposer: "ngram+draft-model" });
    expect(run("--draft", "ngram", prompt)).toMatchObject({ text, speculative: { proposer: "ngram" } });
    expect(run(prompt)).toMatchObject({ text, speculative: { proposer: "ngram" } });
  });
});
