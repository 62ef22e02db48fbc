import { z } from "zod";

import type { MemoryPlan } from "../cache/memory-plan.js";
import { describeModel, type ModelDescription } from "../model/architecture.js";
import { fingerprintModel } from "../model/fingerprint.js";
import { readGguf } from "../model/gguf.js";
import { readHeadsFile } from "../model/heads-file.js";
import type { KvType } from "../native/native.js";
import { integerFrom, parseOptions } from "../util/options.js";
import { contextOf, windowOf } from "./kv-settings.js";
import { answerMemory, toPlannedHeads } from "./memory-check.js";
import { kvTypeSchema, maxContextTokens, pageTokensSchema } from "./options.js";

/** Options of planModel(); where loadModel() has the same one, it means the same. */
export interface PlanModelOptions {
  /** Default: what the model was trained for, at most 4096; with a window 2^24. */
  readonly contextTokens?: number;
  /** Texts of that length that are to be held at a time. Default 1. */
  readonly sequences?: number;
  /** Default `int8`. */
  readonly kv?: KvType;
  /** Default: that of kv. */
  readonly kvKeys?: KvType;
  /** Default: that of kv. */
  readonly kvValues?: KvType;
  /** Tokens that heads keep besides the sinks. Default: everything. */
  readonly window?: number;
  /** Default 4 with a window. */
  readonly sinks?: number;
  /** Heads file of the model. */
  readonly heads?: string;
  /** GGUF file of a draft model. */
  readonly draft?: string;
  /** Default: one for each CPU. */
  readonly threads?: number;
  /** Default 32. */
  readonly pageTokens?: number;
  /** Default 512. */
  readonly maxBatchTokens?: number;
  /** Memory that the process may take. Default: what the system and its control groups have left. */
  readonly memoryBytes?: number;
}

const planModelSchema = z.strictObject(
  {
    contextTokens: integerFrom(2, maxContextTokens).optional(),
    sequences: integerFrom(1, 65_536).default(1),
    kv: kvTypeSchema.default("int8"),
    kvKeys: kvTypeSchema.optional(),
    kvValues: kvTypeSchema.optional(),
    window: integerFrom(1, maxContextTokens).optional(),
    sinks: integerFrom(0, maxContextTokens).optional(),
    heads: z.string("a heads file").min(1, "a heads file").optional(),
    draft: z.string("a GGUF file").min(1, "a GGUF file").optional(),
    threads: integerFrom(1, 1024).optional(),
    pageTokens: pageTokensSchema,
    maxBatchTokens: integerFrom(1, 65_536).default(512),
    memoryBytes: integerFrom(1).optional(),
  },
  "an object",
);

/**
 * Says what a model will take in memory, from its file's header alone, and whether that is there. loadModel() refuses by
 * the same plan.
 *
 * @throws {AirError} AIR_ERR_ARGUMENT, AIR_ERR_IO, AIR_ERR_MODEL_FORMAT, AIR_ERR_UNSUPPORTED, AIR_ERR_HEADS_FILE
 * @example
 * const plan = await planModel("model.gguf", { contextTokens: 8192, memoryBytes: 4 * 2 ** 30 });
 * if (!plan.fits) console.log(`fits up to ${plan.maxContext} tokens`, plan.suggestions);
 */
export async function planModel(path: string, options: PlanModelOptions = {}): Promise<MemoryPlan> {
  const resolved = parseOptions(planModelSchema, options, "plan options");
  const { kv, kvKeys, kvValues, sinks, draft, memoryBytes, ...settings } = resolved;
  const window = windowOf(resolved.window, sinks);
  const file = await readGguf(path);
  const target = await describeModel(file);
  const heads =
    resolved.heads === undefined
      ? undefined
      : await readHeadsFile(resolved.heads, { fingerprint: await fingerprintModel(file), spec: target.spec });
  return answerMemory({
    target,
    ...(draft !== undefined && { draft: await readDescription(draft) }),
    settings: {
      ...settings,
      keyType: kvKeys ?? kv,
      valueType: kvValues ?? kv,
      contextTokens: contextOf(target.trainedContext, settings.contextTokens, window),
      window,
      heads: heads && toPlannedHeads(heads, target.spec),
    },
    memoryBytes,
  });
}

async function readDescription(path: string): Promise<ModelDescription> {
  return describeModel(await readGguf(path));
}
