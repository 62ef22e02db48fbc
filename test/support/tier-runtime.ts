import type { ComplexityClassifier, RoutedPrompt } from "../../lib/routing/complexity.js";
import { type GenerateOptions, loadModel } from "../../lib/index.js";
import { AirRuntime } from "../../lib/tiers/air-runtime.js";
import type { AirRuntimeExtras } from "../../lib/tiers/runtime-types.js";
import type { AirConfig } from "../../lib/tiers/config.js";
import type { RoutedReply, RoutedResult } from "../../lib/tiers/routed-reply.js";
import type { SensorReading, Sensors } from "../../lib/tiers/sensors.js";
import { modelFile } from "./speculation-equality.js";

/** Two bundled models that answer alike, and seldom the same. */
export const smallFile = modelFile("air-tiny-chat-draft-q8_0.gguf");
export const largeFile = modelFile("air-tiny-chat-q4_0.gguf");

/** Prompts that the classifier below sends to one tier and to the other. */
export const easyPrompt = "Name a fruit.";
export const hardPrompt = "This is hard: name a fruit.";

/** Tiers by the word "hard" in the last message. */
export const wordClassifier: ComplexityClassifier & { readonly thresholds: readonly number[] } = {
  kind: "words",
  thresholds: [0.5],
  classify(prompt: RoutedPrompt) {
    const text = typeof prompt === "string" ? prompt : (prompt.at(-1)?.content ?? "");
    const score = text.includes("hard") ? 0.9 : 0.1;
    return { score, confidence: 0.9, probabilities: [1 - score, 0, score] };
  },
};

/** What sensors say of a machine with nothing to do. */
export const calm: SensorReading = {
  ...{ memory: 0.1, heat: 0, hottest: undefined, isThrottling: false, watts: undefined },
};

export const calmSensors: Sensors = { read: () => calm };

type LocalTier = Partial<Exclude<AirConfig["tiers"][number], { readonly url: string }>>;

/** A configuration of both models. */
export function twoTiers(both: LocalTier = {}, small: LocalTier = {}, large: LocalTier = {}): AirConfig {
  const common = { contextTokens: 512, threads: 1, ...both };
  return {
    tiers: [
      { ...common, name: "small", model: smallFile, ...small },
      { ...common, name: "large", model: largeFile, ...large },
    ],
  };
}

/** A runtime on a calm machine that routes by words. */
export function createRuntime(config: AirConfig, extras: AirRuntimeExtras = {}): Promise<AirRuntime> {
  return AirRuntime.create(config, { classifier: wordClassifier, sensors: calmSensors, ...extras });
}

/** What a model says by itself. */
export async function plainText(file: string, prompt: string, options: GenerateOptions): Promise<string> {
  using model = await loadModel(file, { contextTokens: 512, threads: 1 });
  using session = model.createSession();
  return (await session.generate([{ role: "user", content: prompt }], options).result).text;
}

/** A reply as its reader sees it. */
export async function readReply(
  reply: RoutedReply,
): Promise<{ readonly streamed: string; readonly tokens: readonly number[]; readonly result: RoutedResult }> {
  let streamed = "";
  const tokens: number[] = [];
  for await (const chunk of reply) {
    streamed += chunk.text;
    tokens.push(...chunk.tokens);
  }
  return { streamed, tokens, result: await reply.result };
}

/** A prompt as a conversation of one message. */
export const asUser = (content: string): [{ readonly role: "user"; readonly content: string }] => [
  { role: "user", content },
];

/** Waits until something holds; fails after a few seconds. */
export async function until(condition: () => boolean): Promise<void> {
  const endMs = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`expected ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
