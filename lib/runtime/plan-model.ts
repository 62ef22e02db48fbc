import { z } from "zod";

import type { MemoryPlan } from "../cache/memory-plan.js";
import type { PlannedHeads } from "../cache/planned-model.js";
import { invalidArgument } from "../errors/air-error.js";
import { describeModel, type ModelDescription } from "../model/architecture.js";
import { readGguf } from "../model/gguf.js";
import type { KvType } from "../native/native.js";
import { integerFrom, parseOptions } from "../util/options.js";
import { answerMemory, contextOf } from "./memory-check.js";
import { maxContextTokens, pageTokensSchema } from "./options.js";

/** Options of planModel(); where loadModel() has the same one, it means the same. */
export interface PlanModelOptions {
  /** Default: what the model was trained for, at most 4096. */
  readonly contextTokens?: number;
  /** Texts of that length that are to be held at a time. Default 1. */
  readonly sequences?: number;
  /** Default `int8`. */
  readonly keyType?: KvType;
  /** Default `int8`. */
  readonly valueType?: KvType;
  /** Tokens that streaming heads keep besides the sinks. Default: every head keeps everything. */
  readonly windowTokens?: number;
  /** Default 4 with a window. */
  readonly sinkTokens?: number;
  /** What heads keep, and what is left out. Default: with a window all heads stream, and nothing is left out. */
  readonly heads?: PlannedHeads;
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

const kvType = z.enum(["int8", "f16", "int4"], '"int8", "f16" or "int4"').default("int8");
const bytes = z.instanceof(Uint8Array, { error: "a Uint8Array" }).optional();

const planModelSchema = z.strictObject(
  {
    contextTokens: integerFrom(2, maxContextTokens).optional(),
    sequences: integerFrom(1, 65_536).default(1),
    keyType: kvType,
    valueType: kvType,
    windowTokens: integerFrom(1, maxContextTokens).optional(),
    sinkTokens: integerFrom(0, maxContextTokens).optional(),
    heads: z
      .strictObject({ headMask: bytes, queryHeads: bytes, channelGroups: bytes }, "an object of masks")
      .optional(),
    draft: z.string("a GGUF file").min(1, "a GGUF file").optional(),
    threads: integerFrom(1, 1024).optional(),
    pageTokens: pageTokensSchema,
    maxBatchTokens: integerFrom(1, 65_536).default(512),
    memoryBytes: integerFrom(1).optional(),
  },
  "an object",
);

const defaultSinkTokens = 4;

/**
 * Says what a model will take in memory, from its file's header alone, and whether that is there. loadModel() refuses by
 * the same plan.
 *
 * @throws {AirError} AIR_ERR_ARGUMENT, AIR_ERR_IO, AIR_ERR_MODEL_FORMAT, AIR_ERR_UNSUPPORTED; AIR_ERR_SHAPE for masks of
 *   another model
 * @example
 * const plan = await planModel("model.gguf", { contextTokens: 8192, memoryBytes: 4 * 2 ** 30 });
 * if (!plan.fits) console.log(`fits up to ${plan.maxContext} tokens`, plan.suggestions);
 */
export async function planModel(path: string, options: PlanModelOptions = {}): Promise<MemoryPlan> {
  const resolved = parseOptions(planModelSchema, options, "plan options");
  const { contextTokens, windowTokens, sinkTokens, heads, draft, memoryBytes, ...settings } = resolved;
  if (sinkTokens !== undefined && windowTokens === undefined) {
    throw invalidArgument("sinkTokens", "windowTokens beside it", sinkTokens);
  }
  const target = await describeModel(await readGguf(path));
  if (heads !== undefined) checkMasks(heads, target);
  return answerMemory({
    target,
    ...(draft !== undefined && { draft: await describeModel(await readGguf(draft)) }),
    settings: {
      ...settings,
      contextTokens: contextOf(target, contextTokens),
      ...(windowTokens !== undefined && { windowTokens, sinkTokens: sinkTokens ?? defaultSinkTokens }),
      ...(heads && { heads: withoutAbsent(heads) }),
    },
    memoryBytes,
  });
}

function checkMasks(
  heads: { readonly [Name in keyof PlannedHeads]?: Uint8Array | undefined },
  { spec }: ModelDescription,
): void {
  const lengths = {
    headMask: spec.layers * spec.kvHeads,
    queryHeads: spec.layers * spec.queryHeads,
    channelGroups: spec.layers * Math.ceil(spec.feedForwardLength / 32),
  };
  for (const [name, length] of Object.entries(lengths)) {
    const mask = heads[name as keyof PlannedHeads];
    if (mask === undefined || mask.length === length) continue;
    throw invalidArgument(`heads.${name}`, `${length} values`, mask.length, "AIR_ERR_SHAPE");
  }
}

function withoutAbsent(heads: {
  readonly [Name in keyof PlannedHeads]?: Uint8Array | undefined;
}): PlannedHeads {
  return Object.fromEntries(Object.entries(heads).filter(([, mask]) => mask !== undefined));
}
