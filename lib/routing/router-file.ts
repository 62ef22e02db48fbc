import { createHash } from "node:crypto";

import { z } from "zod";

import { AirError, reasonOf } from "../errors/air-error.js";
import { readTextFile } from "../util/text-file.js";
import { ngramBuckets, ngramKinds } from "./ngram-features.js";
import { readableNames } from "./readable-features.js";
import type { TrainedRouter } from "./training.js";

const finite = z.number();
const pair = z.tuple([finite, finite]);

const plattSchema = z.strictObject({ slope: finite.positive(), offset: finite });

const contentSchema = z.strictObject({
  format: z.literal("air-router"),
  version: z.literal(1),
  kind: z.literal("linear"),
  /** Scores at and above which tier 1 and tier 2 answer. */
  thresholds: z.tuple([finite.min(0).max(1), finite.min(0).max(1)]),
  /** Boundaries are "at least demanding" and "hard", in this order everywhere. */
  biases: pair,
  platt: z.tuple([plattSchema, plattSchema]),
  readable: z.array(z.strictObject({ name: z.string(), mean: finite, factor: finite.min(0), weights: pair })),
  ngrams: z.strictObject({
    buckets: z.literal(ngramBuckets),
    kinds: z.array(z.enum(ngramKinds)).length(ngramKinds.length),
    /** A weight is its int8 times this. */
    steps: z.tuple([finite.min(0), finite.min(0)]),
    /** Base64 of [buckets] int8, inverse document frequencies folded in. */
    weights: z.tuple([z.base64(), z.base64()]),
  }),
  /** For people: what it was trained on. */
  training: z.strictObject({ examples: z.int().min(0), families: z.int().min(0) }),
});

const fileSchema = contentSchema.extend({ sha256: z.string().regex(/^[0-9a-f]{64}$/) });

/** A trained router; see docs/routing.md. */
export type RouterFile = z.output<typeof fileSchema>;

/** What the checksum covers. */
export type RouterContent = z.output<typeof contentSchema>;

function routerError(path: string, expected: string, received: string, cause?: unknown): AirError {
  return new AirError("AIR_ERR_ROUTER_FILE", `expected ${expected} for ${path} but received ${received}`, {
    cause,
  });
}

function checksum(content: RouterContent): string {
  return createHash("sha256").update(JSON.stringify(content)).digest("hex");
}

/** The content with its checksum. */
export function sealRouter(content: RouterContent): RouterFile {
  return { ...content, sha256: checksum(content) };
}

/** A router without its checksum. */
export function contentOf(file: RouterFile): RouterContent {
  return contentSchema.strip().parse(file);
}

/** A router with other thresholds. */
export function withThresholds(file: RouterFile, thresholds: readonly [number, number]): RouterFile {
  return sealRouter({ ...contentOf(file), thresholds: [...thresholds] });
}

/** Significant digits of numbers in the file. */
const digits = 6;

function rounded(value: number): number {
  return Number(value.toPrecision(digits));
}

/** Packs a trained router; its n-gram weights are rounded to int8. */
export function packRouter(trained: TrainedRouter): RouterFile {
  const { training, scales, readableFactor, model, platt, thresholds } = trained;
  const width = readableNames.length;
  const packed = model.weights.map((weights) => {
    const folded = Float64Array.from(scales.idf, (idf, bucket) => idf * (weights[width + bucket] ?? 0));
    const largest = folded.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0);
    const step = largest === 0 ? 0 : rounded(largest / 127);
    const bytes = Int8Array.from(folded, (weight) => (step === 0 ? 0 : Math.round(weight / step)));
    return { step, text: Buffer.from(bytes.buffer).toString("base64") };
  });
  const [low, high] = packed;
  return sealRouter({
    format: "air-router",
    version: 1,
    kind: "linear",
    thresholds: [rounded(thresholds[0]), rounded(thresholds[1])],
    biases: [rounded(model.biases[0] ?? 0), rounded(model.biases[1] ?? 0)],
    platt: [roundedScale(platt[0]), roundedScale(platt[1])],
    readable: readableNames.map((name, index) => ({
      name,
      mean: rounded(scales.means[index] ?? 0),
      factor: rounded(scales.factors[index] ?? 0),
      weights: [
        rounded((model.weights[0][index] ?? 0) * readableFactor),
        rounded((model.weights[1][index] ?? 0) * readableFactor),
      ],
    })),
    ngrams: {
      buckets: ngramBuckets,
      kinds: [...ngramKinds],
      steps: [low?.step ?? 0, high?.step ?? 0],
      weights: [low?.text ?? "", high?.text ?? ""],
    },
    training: { ...training },
  });
}

function roundedScale({ slope, offset }: { readonly slope: number; readonly offset: number }): {
  slope: number;
  offset: number;
} {
  return { slope: rounded(slope), offset: rounded(offset) };
}

/** The file's text: a readable feature a line. */
export function formatRouterFile(file: RouterFile): string {
  const indented = JSON.stringify(file, undefined, 1);
  // Innermost lists and objects go on one line; strings of the file hold no line breaks.
  const inner = /([{[])\n\s*([^[\]{}]*?)\n\s*([}\]])/g;
  const flat = (text: string): string =>
    text.replace(
      inner,
      (_, open: string, items: string, close: string) => `${open}${items.replace(/\n\s*/g, " ")}${close}`,
    );
  return `${flat(indented)}\n`;
}

/**
 * Checks a router file's text.
 *
 * @throws {AirError} AIR_ERR_ROUTER_FILE when it is damaged, of another version or made for other features
 */
export function parseRouterFile(text: string, path: string): RouterFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw routerError(path, "JSON", reasonOf(cause), cause);
  }
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw routerError(
      path,
      "a router file of version 1",
      `${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`,
    );
  }
  const { sha256, ...content } = parsed.data;
  if (checksum(content) !== sha256)
    throw routerError(path, "content that fits its checksum", "other content");
  if (content.thresholds[0] > content.thresholds[1]) {
    throw routerError(path, "ascending thresholds", content.thresholds.join(", "));
  }
  const unknown = content.readable.findIndex(({ name }, index) => name !== readableNames[index]);
  if (unknown >= 0 || content.readable.length !== readableNames.length) {
    throw routerError(
      path,
      "the features of this version of air",
      content.readable[unknown]?.name ?? "others",
    );
  }
  for (const weights of content.ngrams.weights) {
    const bytes = Buffer.from(weights, "base64").length;
    if (bytes !== ngramBuckets) throw routerError(path, `${ngramBuckets} weights`, `${bytes}`);
  }
  return parsed.data;
}

/**
 * Reads a router file.
 *
 * @throws {AirError} AIR_ERR_IO when it cannot be read, AIR_ERR_ROUTER_FILE when it is damaged
 */
export async function readRouterFile(path: string): Promise<RouterFile> {
  return parseRouterFile(await readTextFile(path, "a readable router file"), path);
}
