import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import {
  type BenchPrompt,
  measureSpeculation,
  type SpeculationMeasurement,
  type SpeculationSetting,
} from "../../lib/benchmark/speculation-bench.js";
import { type GenerateOptions, loadModel, type Model, type SpeculationOptions } from "../../lib/index.js";
import { prosePrompts } from "../prompts/prose.js";
import { repetitivePrompts } from "../prompts/repetitive.js";
import { predictSpeedup, type StepTimes } from "./costs.js";
import type { PromptDomain } from "./prompt-sets.js";
import { writeRandomModel } from "./random-model.js";

/** What the sections of the suite have in common. */
export interface SectionOptions {
  readonly rounds: number;
  readonly threads: number;
  readonly onProgress: (section: string, fraction: number) => void;
}

/** One line of a table: a setting on some prompts. */
export interface SectionRow extends SpeculationMeasurement {
  /** What the prompts are. */
  readonly prompts: string;
  /** Tokens drafted ahead, where that was fixed. */
  readonly draftTokens?: number;
  /** What measured costs and the measured tokens per cycle promise. */
  readonly predictedSpeedup?: number;
  /** Texts that are not what the prompt file says that they should be; where it does. */
  readonly unexpectedTexts?: number;
}

const seed = 1;
/** As in the reference measurement of the trained pair. */
const domainTokens = 64;
const drafting: SpeculationOptions = { proposers: ["draft-model"] };
const lookup: SpeculationSetting = { name: "ngram", speculation: { proposers: ["ngram"] } };

function fixedDraft(draftTokens: number, options: SpeculationOptions = {}): SpeculationOptions {
  return { ...drafting, ...options, maxDraftTokens: draftTokens, adaptive: false };
}

/** Greedy text of every domain: each fixed number of draft tokens, and the adaptive policy with and without n-grams. */
export async function measureDomains(
  model: Model,
  domains: readonly PromptDomain[],
  draftTokens: readonly number[],
  times: StepTimes,
  options: SectionOptions,
): Promise<readonly SectionRow[]> {
  const fixed = draftTokens.map((count) => ({
    draftTokens: count,
    name: `K = ${count}`,
    speculation: fixedDraft(count),
  }));
  const adaptive = [
    { name: "adaptive", speculation: drafting },
    { name: "adaptive, with ngram", speculation: "auto" as const },
  ];
  const rows: SectionRow[] = [];
  for (const { domain, prompts } of domains) {
    const measurements = await measureSpeculation(model, {
      prompts: prompts.map(({ text }) => text),
      settings: [...fixed, ...adaptive],
      rounds: options.rounds,
      generate: { maxTokens: domainTokens, special: true },
      readsPromptsFirst: true,
      onProgress: (fraction) => {
        options.onProgress(domain, fraction);
      },
    });
    for (const [index, measurement] of measurements.entries()) {
      const count = fixed[index]?.draftTokens;
      const predicted = count === undefined ? {} : prediction(count, measurement, times);
      rows.push({ prompts: domain, ...measurement, ...predicted });
    }
  }
  return rows;
}

function prediction(
  draftTokens: number,
  { drafted, cycles, meanAcceptanceLength }: SpeculationMeasurement,
  times: StepTimes,
): Pick<SectionRow, "draftTokens" | "predictedSpeedup"> {
  const verifiedTokens = cycles > 0 ? drafted / cycles : 0;
  const cycle = { draftTokens, verifiedTokens, expectedTokens: meanAcceptanceLength };
  return { draftTokens, predictedSpeedup: predictSpeedup(times, cycle) };
}

/** Text drawn at temperature 0.8, by both acceptance rules. */
export async function measureSampling(
  model: Model,
  domains: readonly PromptDomain[],
  options: SectionOptions,
): Promise<readonly SectionRow[]> {
  const settings = (["coupled", "rejection"] as const).flatMap((acceptance) => [
    { name: `${acceptance}, K = 4`, speculation: fixedDraft(4, { acceptance }) },
    { name: `${acceptance}, adaptive`, speculation: { ...drafting, acceptance } },
  ]);
  const rows: SectionRow[] = [];
  for (const { domain, prompts } of domains) {
    const measurements = await measureSpeculation(model, {
      prompts: prompts.map(({ text }) => text),
      settings,
      rounds: options.rounds,
      generate: { maxTokens: domainTokens, special: true, temperature: 0.8, seed },
      readsPromptsFirst: true,
      onProgress: (fraction) => {
        options.onProgress(`${domain} at 0.8`, fraction);
      },
    });
    rows.push(...measurements.map((measurement) => ({ prompts: domain, ...measurement })));
  }
  return rows;
}

/** N-gram lookup where the answer repeats the prompt, prompt by prompt. */
export async function measureRepetitive(
  model: Model,
  options: SectionOptions,
): Promise<readonly SectionRow[]> {
  const generate = { maxTokens: 256 };
  const rows: SectionRow[] = [];
  for (const { name, messages, expected } of repetitivePrompts) {
    using session = model.createSession();
    const { text } = await session.generate(messages, { ...generate, speculation: "off" }).result;
    const [row] = await measureLookup(model, name, [messages], generate, options);
    if (row !== undefined) rows.push({ ...row, unexpectedTexts: text === expected ? 0 : 1 });
  }
  return rows;
}

/** N-gram lookup on prose: greedy, which loops, and drawn, which does not. */
export async function measureProse(model: Model, options: SectionOptions): Promise<readonly SectionRow[]> {
  const generate = { maxTokens: 128, ignoreEos: true };
  return [
    ...(await measureLookup(model, "prose, greedy", prosePrompts, generate, options)),
    ...(await measureLookup(
      model,
      "prose at 0.8",
      prosePrompts,
      { ...generate, temperature: 0.8, seed },
      options,
    )),
  ];
}

async function measureLookup(
  model: Model,
  name: string,
  prompts: readonly BenchPrompt[],
  generate: GenerateOptions,
  { rounds, onProgress }: SectionOptions,
): Promise<readonly SectionRow[]> {
  const measurements = await measureSpeculation(model, {
    prompts,
    settings: [lookup],
    rounds,
    generate,
    onProgress: (fraction) => {
      onProgress(name, fraction);
    },
  });
  return measurements.map((measurement) => ({ prompts: name, ...measurement }));
}

/** A draft model of random weights, timed after the 64 tokens that it may take to be found out. */
export async function measureUseless(
  target: string,
  draft: string,
  { rounds, threads, onProgress }: SectionOptions,
): Promise<readonly SectionRow[]> {
  const folder = await mkdtemp(join(tmpdir(), "air-useless-draft-"));
  try {
    const random = join(folder, "random.gguf");
    await writeRandomModel(draft, random);
    using model = await loadModel(target, { draft: random, threads });
    const measurements = await measureSpeculation(model, {
      prompts: prosePrompts,
      settings: [{ name: "adaptive", speculation: drafting }],
      rounds,
      generate: { maxTokens: 192, ignoreEos: true },
      skipTokens: 64,
      onProgress: (fraction) => {
        onProgress("useless draft", fraction);
      },
    });
    return measurements.map((measurement) => ({ prompts: "prose, after 64 tokens", ...measurement }));
  } finally {
    await rm(folder, { recursive: true });
  }
}
