import { z } from "zod";

import { integerFrom, numberFrom, pickGiven } from "../util/options.js";
import { longestTimeoutMs } from "../runtime/options.js";
import type { RoutedOptions } from "../tiers/runtime-types.js";

/** The clients of OpenAI write null for what was not said. */
export function optional<Schema extends z.ZodType>(
  schema: Schema,
): z.ZodType<z.output<Schema> | undefined, z.input<Schema> | null | undefined> {
  return schema.nullish().transform((value) => value ?? undefined);
}

/** True or false. */
export const flagSchema = z.boolean("true or false");

const stopSchema = z.union(
  [
    z.string().min(1),
    z.array(z.string("a string").min(1, "a non-empty string"), "an array of strings").max(16),
  ],
  "a non-empty string, or an array of up to 16 of them",
);

const biasSchema = z.record(
  z.string().regex(/^\d{1,9}$/, "a token id"),
  numberFrom(-100, 100),
  "an object of token ids and numbers from -100 to 100",
);

/** How a request stands among the others, and how long it may take. */
export const termsShape = {
  priority: optional(integerFrom(-100, 100)).describe(
    "Higher goes before lower; at most what the key allows, 0 without one",
  ),
  timeout_ms: optional(integerFrom(1, longestTimeoutMs)).describe(
    "Milliseconds after which an unfinished answer is given up",
  ),
};

/** How a request of this server goes beyond OpenAI's: where it may be answered, and how. */
const airSchema = z.object(
  {
    min_tier: optional(z.string("a tier's name").max(256)),
    max_tier: optional(z.string("a tier's name").max(256)),
    deadline_ms: optional(numberFrom(0, 1e9)).describe("Milliseconds in which the whole answer is wanted"),
    local_only: optional(flagSchema).describe("Nothing may leave the machine"),
    cascade: optional(flagSchema).describe("False: the first tier's answer is taken as it is"),
    speculation: optional(z.enum(["auto", "off"], '"auto" or "off"')),
    live: optional(flagSchema).describe(
      "Chunks say who answers and why, and which of their tokens were guessed ahead and accepted",
    ),
    ...termsShape,
  },
  "an object",
);

/** Fields that chat and text completions share. */
export const samplingShape = {
  model: optional(z.string("a string").max(256, "at most 256 characters")).describe(
    'Name of a tier, or "auto" (the default): the smallest tier that can answer',
  ),
  stream: optional(flagSchema),
  stream_options: optional(z.object({ include_usage: optional(flagSchema) }, "an object")),
  n: optional(integerFrom(1, 128)),
  stop: optional(stopSchema),
  seed: optional(integerFrom(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)),
  temperature: optional(numberFrom(0, 2)),
  top_p: optional(numberFrom(0, 1)),
  top_k: optional(integerFrom(0, 2 ** 24)).describe("As in vLLM and llama.cpp; 0 is off"),
  min_p: optional(numberFrom(0, 1)).describe("As in vLLM and llama.cpp; 0 is off"),
  repetition_penalty: optional(numberFrom(0.01, 100)).describe("As in vLLM and llama.cpp; 1 is off"),
  presence_penalty: optional(numberFrom(-2, 2)),
  frequency_penalty: optional(numberFrom(-2, 2)),
  logit_bias: optional(biasSchema),
  max_tokens: optional(integerFrom(1)),
  user: optional(z.string("a string").max(256, "at most 256 characters")).describe(
    "Who asks, where no keys are: users' prompts are computed by turns",
  ),
  air: optional(airSchema),
};

/** What every request for an answer says. */
export type SamplingRequest = z.output<z.ZodObject<typeof samplingShape>>;

/** Seeds of the runtime are not negative; those of the API may be. */
function seedOf(seed: number, choice: number): number {
  const range = Number.MAX_SAFE_INTEGER;
  return ((((seed % range) + range) % range) + choice) % range;
}

/** The runtime's names for what a request asked for its choice number `choice`; what it did not say stays absent. */
export function samplingOptions(request: SamplingRequest, choice: number): RoutedOptions {
  const { seed, stop, air, top_k, top_p, min_p, repetition_penalty } = request;
  const named = {
    temperature: request.temperature,
    topP: top_p,
    topK: top_k,
    minP: min_p,
    repetitionPenalty: repetition_penalty,
    presencePenalty: request.presence_penalty,
    frequencyPenalty: request.frequency_penalty,
    logitBias: request.logit_bias as Readonly<Record<number, number>> | undefined,
    seed: seed === undefined ? undefined : seedOf(seed, choice),
    stop: typeof stop === "string" ? [stop] : stop,
    minTier: air?.min_tier,
    maxTier: air?.max_tier,
    deadlineMs: air?.deadline_ms,
    localOnly: air?.local_only,
    cascade: air?.cascade,
    speculation: air?.speculation,
    timeoutMs: air?.timeout_ms,
  };
  return pickGiven(named, Object.keys(named) as (keyof typeof named)[]);
}
