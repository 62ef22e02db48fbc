import { z } from "zod";

import type { EvictionPolicy } from "../cache/eviction-policy.js";
import type { JsonSchema } from "../constraint/json-schema.js";
import type { AcceptanceRule } from "../decoding/acceptance.js";
import type { ProposerName } from "../decoding/proposer.js";
import type { ToolDefinition } from "../model/tools.js";
import type { KvType, NativeAddon, ThreadPriority } from "../native/native.js";
import { integerFrom, numberFrom } from "../util/options.js";

/** Where a model may be asked to run. */
export const deviceChoices = ["cpu", "cuda", "auto"] as const;
export type DeviceChoice = (typeof deviceChoices)[number];

/** Options of loadModel(). */
export interface LoadModelOptions {
  /** Most tokens of one text, prompt and output together. Default: what the model was trained for, at most 4096. */
  readonly contextTokens?: number;
  /** Tokens of KV cache that all sessions share, rounded up to pages. Default: contextTokens. */
  readonly kvTokens?: number;
  /** Precision of the KV cache. Default `int8`, half the memory of `f16`; `int4` takes a bit more than half of that. */
  readonly kv?: KvType;
  /** Precision of the keys alone. Default: that of kv. */
  readonly kvKeys?: KvType;
  /** Precision of the values alone. Default: that of kv. */
  readonly kvValues?: KvType;
  /**
   * Stores keys multiplied by a Hadamard matrix, and multiplies queries by it too: scores are the same, and outliers are
   * spread over the dims before they are rounded. Default: for int4 keys; see docs/kv-compression.md.
   */
  readonly rotateKeys?: boolean;
  /**
   * Tokens that a token can see besides the sinks: the newest, itself included. Memory for the cache is bounded by it then,
   * and texts by nothing but contextTokens, whose default becomes 2^24. Default: all tokens.
   */
  readonly window?: number;
  /** First tokens of a text, which every token sees in spite of the window. Default 4; 0 without a window. */
  readonly sinks?: number;
  /** What sequences forget instead of what window and sinks say; for policies of your own. */
  readonly policy?: EvictionPolicy;
  /** File that `air calibrate` made for this model: which heads keep less of the cache, and which are left out. */
  readonly heads?: string;
  /**
   * Where the model runs: `cuda` is an NVIDIA GPU, AIR_ERR_NO_DEVICE when there is none; `auto` is that if there is one,
   * and else the CPU. Default `cpu`. See docs/cuda.md.
   */
  readonly device?: DeviceChoice;
  /**
   * Layers from the end that a GPU computes; the CPU computes those before, and activations cross once in a step. `auto` is
   * as many as fit into its memory. More than the model has are all, 0 is the CPU alone. Default `auto`.
   */
  readonly gpuLayers?: number | "auto";
  /**
   * Compute threads, of which a cgroup's CPU quota may allow fewer. Default: one for each physical core (on arm
   * big.LITTLE: big core) that this process may use, or for each CPU of cpuList.
   */
  readonly threads?: number;
  /** Pins compute threads to these CPUs, one each, in order. Default: no pinning. */
  readonly cpuList?: readonly number[];
  /** Of the compute threads: `low` is nice 10, `high` is nice -10 and takes a privilege. Default `normal`. */
  readonly priority?: ThreadPriority;
  /**
   * GGUF file of a smaller model with the same vocabulary, which guesses what this one is going to say. It gets KV pages
   * of its own, for as many tokens. Default: none, guesses come from the text itself.
   */
  readonly draft?: string;
  /** Tokens per KV page, a multiple of 16. Default 32. */
  readonly pageTokens?: number;
  /** Most tokens computed in one step; longer prompts go in chunks of it. Default 512. */
  readonly maxBatchTokens?: number;
  /**
   * How many times as long a step may take, while texts are being generated, for also computing the prompts of others:
   * above 1. Less makes texts flow more evenly and prompts take longer. Infinity computes prompts in chunks of
   * maxBatchTokens whoever waits. Default 2.
   */
  readonly stepStretch?: number;
  /**
   * Directory that keeps packed weights from one load to the next, made if it is missing. It may be shared between
   * models and processes, and deleted at any time. Default: none, weights are packed on every load.
   */
  readonly packCache?: string;
  /**
   * Sessions share the keys and values of texts that begin alike, in whole pages, for as long as nobody needs the memory:
   * such beginnings are not computed again. No effect on texts. Default true.
   */
  readonly prefixCache?: boolean;
  /**
   * Memory in bytes that the process may take, or on a GPU with memory of its own, the model there; a model that needs more is refused with AIR_ERR_MEMORY before it is loaded.
   * Default: what the system and its control groups have left. See planModel().
   */
  readonly memoryBytes?: number;
  /** Load whatever the memory. Default false. */
  readonly force?: boolean;
  /** Called now and then while loading, with the part done from 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
  /** Another implementation of the native surface, for tests. Default: the addon of this package. */
  readonly addon?: NativeAddon;
}

/** How a generation speculates; see docs/speculative-decoding.md. */
export interface SpeculationOptions {
  /**
   * Who guesses what comes next. Default: `ngram` (what followed the same tokens before) and, if the model was loaded
   * with a draft model, `draft-model`; for each guess, the one that promises more.
   */
  readonly proposers?: readonly ProposerName[];
  /** Most tokens that are guessed ahead, 1 to 15. Default 8. */
  readonly maxDraftTokens?: number;
  /**
   * As many tokens as pay on this machine, measured as it goes. False guesses maxDraftTokens ahead always, whether it
   * pays or not, with the first proposer that has a guess. Default true.
   */
  readonly adaptive?: boolean;
  /**
   * How guesses are accepted at temperatures above 0; both give the model's exact distribution. `coupled`, the default,
   * gives a seed the same text with and without speculation. `rejection` accepts a little more.
   */
  readonly acceptance?: AcceptanceRule;
}

/** Options of generate(). */
export interface GenerateOptions {
  /** Most tokens to generate. Default: to the end of the context. */
  readonly maxTokens?: number;
  /** 0, the default, always takes the most likely token; 1 draws from the model's distribution. */
  readonly temperature?: number;
  /** Draw from the k most likely tokens. Default 0, off. */
  readonly topK?: number;
  /** Draw from the fewest tokens that hold this much probability (nucleus sampling). Default 1, off. */
  readonly topP?: number;
  /** Draw from tokens with at least this fraction of the top probability. Default 0, off. */
  readonly minP?: number;
  /** Divides positive and multiplies negative logits of recent tokens. Default 1, off. */
  readonly repetitionPenalty?: number;
  /** Subtracted from the logit of every recent token. Default 0, off. */
  readonly presencePenalty?: number;
  /** Subtracted from a recent token's logit for each time it occurs. Default 0, off. */
  readonly frequencyPenalty?: number;
  /** How many of the last tokens, of prompt and output, the penalties look at. Default 64. */
  readonly penaltyLastN?: number;
  /** The same seed gives the same text under any load. Default: a random one, reported in the result. */
  readonly seed?: number;
  /** Added to the logits of token ids; -Infinity forbids one. */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** Generation ends before the first of these strings. */
  readonly stop?: readonly string[];
  /** Aborts the generation, which then rejects with AIR_ERR_CANCELLED and the signal's reason as the cause. */
  readonly signal?: AbortSignal;
  /** Report log-probabilities of each token and of this many most likely ones. Default: none. */
  readonly logprobs?: number;
  /** Read the texts of control tokens in a string prompt as those tokens; messages never do. Default false. */
  readonly special?: boolean;
  /**
   * The text is a JSON document that this zod schema or JSON schema allows; ended early by maxTokens, the beginning of
   * one. See docs/constrained-output.md. Default: any text.
   */
  readonly schema?: JsonSchema;
  /**
   * Guessing tokens ahead and verifying the guesses together, which changes the speed and never the text's distribution;
   * at temperature 0, and with the default acceptance, not the text either. Default `auto`, where it pays.
   */
  readonly speculation?: "auto" | "off" | SpeculationOptions;
  /**
   * Functions that the model may call, with messages as the prompt: the chat template tells the model of them. What it
   * makes of them is text like any other.
   */
  readonly tools?: readonly ToolDefinition[];
  /** Go on past end-of-generation tokens, for benches. Default false. */
  readonly ignoreEos?: boolean;
  /**
   * Among generations of this model: higher gets memory and the time for its prompt before lower, and may stop a lower one
   * that goes on later. An integer from -100 to 100. No effect on texts. Default 0.
   */
  readonly priority?: number;
  /**
   * On whose behalf: prompts of different users are computed by turns, however many one of them sends. Any string. Default:
   * all generations without one are one user's.
   */
  readonly user?: string;
  /** Milliseconds after which a generation that is not finished rejects with AIR_ERR_TIMEOUT. Default: none. */
  readonly timeoutMs?: number;
}

/** Options of createSession(). */
export interface SessionOptions {
  /** System message that starts the history of chat(). */
  readonly system?: string;
  /**
   * Sessions share computed beginnings with sessions of the same salt only, so that one tenant cannot tell from the time to
   * the first token what others asked. Default: none, all sessions without a salt share.
   */
  readonly cacheSalt?: string;
}

/** Timers take no more milliseconds. */
export const longestTimeoutMs = 2 ** 31 - 1;
/** Most tokens of one text. */
export const maxContextTokens = 2 ** 24;
const pageTokensExpected = "a multiple of 16 from 16 to 1024";

/** Tokens per KV page. */
export const pageTokensSchema = integerFrom(16, 1024).multipleOf(16, pageTokensExpected).default(32);

function functionSchema(): z.ZodType {
  return z.custom((value) => typeof value === "function", "a function").optional();
}

/** The options that say which threads compute. */
export const threadOptionNames = ["threads", "cpuList", "priority"] as const;

/** Validates a precision of the KV cache. */
export const kvTypeSchema = z.enum(["int8", "f16", "int4"], '"int8", "f16" or "int4"');

/** Validates {@link LoadModelOptions} and fills in defaults that do not depend on the model. */
export const loadModelSchema = z.strictObject(
  {
    contextTokens: integerFrom(2, maxContextTokens).optional(),
    kvTokens: integerFrom(1, 2 ** 30).optional(),
    kv: kvTypeSchema.default("int8"),
    kvKeys: kvTypeSchema.optional(),
    kvValues: kvTypeSchema.optional(),
    rotateKeys: z.boolean("true or false").optional(),
    window: integerFrom(1, maxContextTokens).optional(),
    sinks: integerFrom(0, maxContextTokens).optional(),
    policy: z
      .custom<EvictionPolicy>(
        (value) => typeof value === "object" && value !== null && "decide" in value && "name" in value,
        "an eviction policy with a name and decide()",
      )
      .optional(),
    heads: z.string("a heads file").min(1, "a heads file").optional(),
    device: z.enum(deviceChoices, '"cpu", "cuda" or "auto"').default("cpu"),
    gpuLayers: z
      .union([z.literal("auto"), integerFrom(0, 65536)], 'a whole number of layers from 0, or "auto"')
      .optional(),
    threads: integerFrom(1, 1024).optional(),
    cpuList: z.array(integerFrom(0, 65535), "an array of CPU numbers").min(1, "at least one CPU").optional(),
    priority: z.enum(["low", "normal", "high"], '"low", "normal" or "high"').optional(),
    pageTokens: pageTokensSchema,
    maxBatchTokens: integerFrom(1, 65536).default(512),
    stepStretch: z
      .custom<number>((value) => typeof value === "number" && value > 1, "a number above 1")
      .default(2),
    packCache: z.string("a directory").min(1, "a directory").optional(),
    draft: z.string("a GGUF file").min(1, "a GGUF file").optional(),
    prefixCache: z.boolean("true or false").default(true),
    memoryBytes: integerFrom(1).optional(),
    force: z.boolean("true or false").default(false),
    onProgress: functionSchema(),
    addon: z.custom((value) => typeof value === "object" && value !== null, "a native addon").optional(),
  },
  "an object",
);

/** {@link LoadModelOptions} with defaults. */
export type ResolvedLoadModelOptions = z.output<typeof loadModelSchema>;

const biasSchema = z.custom<number>(
  (value) => typeof value === "number" && !Number.isNaN(value) && value !== Infinity,
  "a number or -Infinity",
);

const speculationSchema = z.strictObject(
  {
    proposers: z
      .array(z.enum(["ngram", "draft-model"], '"ngram" or "draft-model"'), "an array of proposers")
      .min(1, "at least one proposer")
      .optional(),
    maxDraftTokens: integerFrom(1, 15).default(8),
    adaptive: z.boolean("true or false").default(true),
    acceptance: z.enum(["coupled", "rejection"], '"coupled" or "rejection"').default("coupled"),
  },
  "an object",
);

const toolSchema: z.ZodType<ToolDefinition> = z.object(
  {
    type: z.literal("function", '"function"'),
    function: z.object(
      {
        name: z.string("a name").min(1, "a name"),
        description: z.string("a string").optional(),
        parameters: z.record(z.string(), z.unknown(), "a JSON schema").optional(),
      },
      "a function",
    ),
  },
  "a tool",
);

/** {@link SpeculationOptions} with defaults. */
export type ResolvedSpeculation = z.output<typeof speculationSchema>;

/** Validates {@link GenerateOptions} and fills in defaults that do not depend on the model. */
export const generateSchema = z.strictObject(
  {
    maxTokens: integerFrom(1).optional(),
    temperature: numberFrom(0, 100).default(0),
    topK: integerFrom(0).default(0),
    topP: numberFrom(0, 1).default(1),
    minP: numberFrom(0, 1).default(0),
    repetitionPenalty: numberFrom(0.01, 100).default(1),
    presencePenalty: numberFrom(-100, 100).default(0),
    frequencyPenalty: numberFrom(-100, 100).default(0),
    penaltyLastN: integerFrom(0).default(64),
    seed: integerFrom(0).optional(),
    logitBias: z
      .record(z.string(), biasSchema, "an object of token ids and numbers")
      .transform((biases) => new Map(Object.entries(biases).map(([id, bias]) => [Number(id), bias])))
      .default(new Map()),
    stop: z.array(z.string("a string").min(1, "a non-empty string"), "an array of strings").default([]),
    signal: z.instanceof(AbortSignal, { error: "an AbortSignal" }).optional(),
    logprobs: integerFrom(0, 100).optional(),
    special: z.boolean("true or false").default(false),
    ignoreEos: z.boolean("true or false").default(false),
    tools: z.array(toolSchema, "an array of tools").default([]),
    priority: integerFrom(-100, 100).default(0),
    user: z.string("a string").optional(),
    timeoutMs: integerFrom(1, longestTimeoutMs).optional(),
    schema: z
      .custom<JsonSchema>(
        (value) =>
          typeof value === "boolean" ||
          (typeof value === "object" && value !== null && !Array.isArray(value)),
        "a zod schema or a JSON schema",
      )
      .optional(),
    speculation: z
      .union(
        [z.literal("auto"), z.literal("off"), speculationSchema],
        '"auto", "off" or an object of speculation options',
      )
      .default("auto")
      .transform((value) => (value === "auto" ? speculationSchema.parse({}) : value)),
  },
  "an object",
);

/** {@link GenerateOptions} with defaults. */
export type ResolvedGenerateOptions = z.output<typeof generateSchema>;

/** Validates {@link SessionOptions}. */
export const sessionSchema = z.strictObject(
  { system: z.string("a string").optional(), cacheSalt: z.string("a string").optional() },
  "an object",
);

const roles = ["system", "user", "assistant"] as const;

/** Validates a message. */
export const messageSchema = z.object(
  {
    role: z.enum(roles, '"system", "user" or "assistant"'),
    content: z.string("a string"),
    toolForm: z.record(z.string(), z.unknown(), "an object").optional(),
  },
  "a message with role and content",
);

/** Validates the messages of a chat prompt. */
export const messagesSchema = z.object({
  messages: z.array(messageSchema, "a string or an array of messages").min(1, "at least one message"),
});
