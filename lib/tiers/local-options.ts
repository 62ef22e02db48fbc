import { z } from "zod";

import { loadModelSchema } from "../runtime/options.js";
import { integerFrom, numberFrom } from "../util/options.js";

/** How requests of a local tier are answered where they do not say it themselves. */
const answerDefaultsSchema = z.strictObject(
  {
    temperature: numberFrom(0, 100).optional(),
    topK: integerFrom(0).optional(),
    topP: numberFrom(0, 1).optional(),
    minP: numberFrom(0, 1).optional(),
    repetitionPenalty: numberFrom(0.01, 100).optional(),
    speculation: z.enum(["auto", "off"], '"auto" or "off"').optional(),
  },
  "an object",
);

const stretchExpected = "a number above 1";

/** A tier of this machine in the configuration; options of loadModel() mean the same. */
export const localTierSchema = loadModelSchema
  .pick({
    contextTokens: true,
    kvTokens: true,
    kvKeys: true,
    kvValues: true,
    rotateKeys: true,
    window: true,
    sinks: true,
    heads: true,
    gpuLayers: true,
    threads: true,
    cpuList: true,
    priority: true,
    packCache: true,
    draft: true,
  })
  .extend({
    name: z.string("a name").min(1, "a name"),
    model: z
      .string("a GGUF file")
      .min(1, "a GGUF file")
      .describe("GGUF file, relative to the configuration's folder"),
    kv: loadModelSchema.shape.kv.unwrap().optional(),
    device: loadModelSchema.shape.device.unwrap().optional(),
    pageTokens: loadModelSchema.shape.pageTokens.unwrap().optional(),
    maxBatchTokens: loadModelSchema.shape.maxBatchTokens.unwrap().optional(),
    prefixCache: loadModelSchema.shape.prefixCache.unwrap().optional(),
    stepStretch: z
      .number(stretchExpected)
      .gt(1, stretchExpected)
      .optional()
      .describe("How many times as long steps may take for the prompts of others; default 2"),
    maxTokens: integerFrom(1).optional().describe("Most tokens of an answer"),
    maxConcurrent: integerFrom(1, 256).default(4).describe("Answers at a time"),
    maxWaiting: integerFrom(0, 65_536)
      .default(64)
      .describe("Requests that wait for their turn; one more is refused, or goes to another tier"),
    idleUnloadSeconds: numberFrom(0, 1e7)
      .default(300)
      .describe("Seconds without a request after which the model is unloaded; 0 keeps it"),
    preload: z.boolean("true or false").default(false).describe("Load it before the first request"),
    defaults: answerDefaultsSchema.default({}),
  });

/** Options of a local tier with defaults. */
export type LocalTierConfig = z.output<typeof localTierSchema>;
