import type { GenerationResult } from "../runtime/generation.js";
import type { Model } from "../runtime/model.js";
import type { GenerateOptions, SpeculationOptions } from "../runtime/options.js";
import type { Session } from "../runtime/session.js";
import { at } from "../util/array-access.js";
import { compareRounds, type DecodeTally, type SpeculationComparison, sumTallies } from "./decode-tally.js";

/** Raw text, or messages for the model's chat template. */
export type BenchPrompt = Parameters<Session["generate"]>[0];

/** A way to speculate that is to be compared with not speculating. */
export interface SpeculationSetting {
  readonly name: string;
  readonly speculation: NonNullable<GenerateOptions["speculation"]>;
}

/** What to generate, and how often. */
export interface SpeculationBenchOptions {
  readonly prompts: readonly BenchPrompt[];
  readonly settings: readonly SpeculationSetting[];
  readonly rounds: number;
  /** Of every generation. */
  readonly generate: Omit<GenerateOptions, "speculation" | "stop">;
  /** Tokens of each text that are not timed, after the first one. Default 0. */
  readonly skipTokens?: number;
  /**
   * Has both models read each prompt beforehand, and times every token from the call on: else the draft model's reading
   * counts as decoding, and the first token is not drafted. Takes a draft model; excludes skipTokens. Default false.
   */
  readonly readsPromptsFirst?: boolean;
  /** Called with the part done from 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
}

/** One setting's results. */
export interface SpeculationMeasurement extends SpeculationComparison {
  readonly name: string;
  /** Texts that are not token for token those of target-only generation, of all rounds. */
  readonly differentTexts: number;
  /** Why drafting was off at the end of the last text; undefined where it was not. */
  readonly disabledReason?: string;
}

interface TimedText {
  readonly tally: DecodeTally;
  readonly result: GenerationResult;
}

const oneAhead: SpeculationOptions = { proposers: ["draft-model"], maxDraftTokens: 1, adaptive: false };

/** Has both models compute the prompt; n-grams of the session learn nothing from it. */
const readPrompt: GenerateOptions = {
  maxTokens: 3, // the second one is the first that is drafted
  ignoreEos: true,
  speculation: oneAhead,
};

/** Generates once, in a session of its own. */
async function generateTimed(
  model: Model,
  prompt: BenchPrompt,
  options: GenerateOptions,
  { skipTokens = 0, readsPromptsFirst = false }: SpeculationBenchOptions,
): Promise<TimedText> {
  using session = model.createSession();
  if (readsPromptsFirst) await session.generate(prompt, { ...options, ...readPrompt }).result;
  const callMs = performance.now();
  const generation = session.generate(prompt, options);
  let seen = 0;
  let start = readsPromptsFirst ? { ms: callMs, tokens: 0 } : undefined;
  for await (const { tokens } of generation) {
    seen += tokens.length;
    if (seen > skipTokens) start ??= { ms: performance.now(), tokens: seen };
  }
  const endMs = performance.now();
  const result = await generation.result;
  // The token that ended the text took time too, but is not among the result's.
  const sampled = result.tokens.length + (result.finishReason === "stop" ? 1 : 0);
  const { drafted = 0, accepted = 0, cycles = 0 } = result.speculative ?? {};
  const timed = start === undefined ? undefined : { tokens: sampled - start.tokens, ms: endMs - start.ms };
  return { tally: { tokens: 0, ms: 0, ...timed, drafted, accepted, cycles }, result };
}

/** One setting and what it generated, round by round. */
class Lane {
  readonly setting: SpeculationSetting;
  readonly #rounds: TimedText[][] = [];

  constructor(setting: SpeculationSetting) {
    this.setting = setting;
  }

  /** One tally per round. */
  get tallies(): readonly DecodeTally[] {
    return this.#rounds.map((texts) => sumTallies(texts.map(({ tally }) => tally)));
  }

  /** Of all rounds, as comparable strings. */
  get texts(): readonly string[] {
    return this.#rounds.flat().map(({ result }) => result.tokens.join(" "));
  }

  get disabledReason(): string | undefined {
    return this.#rounds.at(-1)?.at(-1)?.result.speculative?.disabledReason;
  }

  add(round: number, text: TimedText): void {
    (this.#rounds[round] ??= []).push(text);
  }
}

/**
 * Generates every prompt with every setting and without speculation, prompt by prompt in turns, so that all meet the
 * same machine; the order turns around from one to the next. The first prompt runs once more before, to warm up.
 *
 * @throws {AirError} as session.generate()
 */
export async function measureSpeculation(
  model: Model,
  options: SpeculationBenchOptions,
): Promise<readonly SpeculationMeasurement[]> {
  const { prompts, settings, rounds, generate, onProgress } = options;
  const plain = new Lane({ name: "target only", speculation: "off" });
  const lanes = settings.map((setting) => new Lane(setting));
  const all = [plain, ...lanes];
  const run = ({ setting }: Lane, prompt: BenchPrompt): Promise<TimedText> =>
    generateTimed(model, prompt, { ...generate, speculation: setting.speculation }, options);

  for (const lane of all) await run(lane, at(prompts, 0));
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, prompt] of prompts.entries()) {
      for (const lane of (round + index) % 2 === 0 ? all : all.toReversed()) {
        lane.add(round, await run(lane, prompt));
      }
      onProgress?.((round * prompts.length + index + 1) / (rounds * prompts.length));
    }
  }
  return lanes.map((lane) => measurementOf(lane, plain));
}

function measurementOf(
  { setting, tallies, texts, disabledReason }: Lane,
  plain: Lane,
): SpeculationMeasurement {
  const expected = plain.texts;
  return {
    name: setting.name,
    ...compareRounds(plain.tallies, tallies),
    differentTexts: texts.filter((text, index) => text !== expected[index]).length,
    ...(disabledReason !== undefined && { disabledReason }),
  };
}
