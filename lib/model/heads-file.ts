import { z } from "zod";

import { AirError } from "../errors/air-error.js";
import { readTextFile } from "../util/text-file.js";
import type { DecoderSpec, Pruning } from "../native/native.js";

/** What becomes of a KV head: all of its cache is kept, only sinks and window, or nothing. */
export type HeadClass = "full" | "stream" | "dropped";

const headClasses = ["full", "stream", "dropped"] as const;
const hex = z.string().regex(/^[0-9a-f]{64}$/);
const index = z.int().min(0);
const score = z.number().min(0);
const perplexityFigure = z.number().positive();

const headsFileSchema = z.strictObject({
  format: z.literal("air-heads"),
  version: z.literal(1),
  /** The model that the file is for. */
  model: z.strictObject({ fingerprint: hex, name: z.string() }),
  /** What it was calibrated with. */
  calibration: z.strictObject({ textSha256: hex, tokens: index, contextTokens: index }),
  /** What heads of the stream class read. */
  window: z.strictObject({ windowTokens: z.int().min(1), sinkTokens: index }),
  /** [layers][kvHeads] */
  kvHeads: z.array(z.array(z.enum(headClasses))).min(1),
  /** [layers], query heads that are not computed. */
  maskedQueryHeads: z.array(z.array(index)),
  /** [layers], groups of 32 feed-forward channels that are not computed. */
  prunedChannelGroups: z.array(z.array(index)),
  /** What was measured, for people: divergence in nats from the whole model, by head; null where it was not tried. */
  scores: z.strictObject({
    /** [layers][queryHeads] without the head. */
    queryHeads: z.array(z.array(score.nullable())),
    /** [layers][kvHeads] with the KV head in the stream class. */
    kvHeadsStream: z.array(z.array(score.nullable())),
    /** [layers][kvHeads] without the query heads of the KV head. */
    kvHeadsDropped: z.array(z.array(score.nullable())),
  }),
  /** On text of the calibration that decided nothing but how far to go. */
  expected: z.strictObject({
    perplexityBefore: perplexityFigure,
    perplexity: perplexityFigure,
    meanDivergence: score,
    tokens: index,
  }),
});

/** What `air calibrate` found out about a model; see docs/kv-compression.md. */
export type HeadsFile = z.output<typeof headsFileSchema>;

function headsError(path: string, expected: string, received: string, cause?: unknown): AirError {
  return new AirError("AIR_ERR_HEADS_FILE", `expected ${expected} for ${path} but received ${received}`, {
    cause,
  });
}

/**
 * Reads a heads file and checks that it is for this model.
 *
 * @throws {AirError} AIR_ERR_IO when it cannot be read, AIR_ERR_HEADS_FILE when it is damaged or for another model
 */
export async function readHeadsFile(path: string, model: HeadsModel): Promise<HeadsFile> {
  return parseHeadsFile(await readTextFile(path, "a readable heads file"), path, model);
}

/** The model that a heads file has to fit. */
export interface HeadsModel {
  readonly fingerprint: string;
  readonly spec: Pick<DecoderSpec, "layers" | "queryHeads" | "kvHeads" | "feedForwardLength">;
}

/** As readHeadsFile(), from the file's text. */
export function parseHeadsFile(text: string, path: string, { fingerprint, spec }: HeadsModel): HeadsFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw headsError(path, "JSON", "something else", cause);
  }
  const parsed = headsFileSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw headsError(
      path,
      "a heads file of format 1",
      `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "others"}`,
    );
  }
  const heads = parsed.data;
  if (heads.model.fingerprint !== fingerprint) {
    throw headsError(path, `the heads of this model (${fingerprint.slice(0, 12)}..)`, describe(heads));
  }
  const { layers, queryHeads, kvHeads, feedForwardLength } = spec;
  const fits =
    heads.kvHeads.length === layers &&
    heads.kvHeads.every((classes) => classes.length === kvHeads) &&
    isIndexList(heads.maskedQueryHeads, layers, queryHeads) &&
    isIndexList(heads.prunedChannelGroups, layers, Math.ceil(feedForwardLength / 32));
  if (!fits) throw headsError(path, "layers and heads of this model", "others");
  for (const [layer, classes] of heads.kvHeads.entries()) {
    const masked = new Set(heads.maskedQueryHeads[layer]);
    for (const [kvHead, headClass] of classes.entries()) {
      const isUnused = queryHeadsOf(kvHead, spec).every((head) => masked.has(head));
      if (isUnused === (headClass === "dropped")) continue;
      const where = `KV head ${kvHead} of layer ${layer}`;
      throw headsError(
        path,
        "KV heads dropped when all of their query heads are masked",
        `${headClass} for ${where}`,
      );
    }
  }
  return heads;
}

function describe({ model }: HeadsFile): string {
  return `those of ${model.name === "" ? "a model" : model.name} (${model.fingerprint.slice(0, 12)}..)`;
}

function isIndexList(lists: readonly (readonly number[])[], layers: number, limit: number): boolean {
  const isAscending = (list: readonly number[]): boolean =>
    list.every((value, order) => value < limit && value > (list[order - 1] ?? -1));
  return lists.length === layers && lists.every(isAscending);
}

/** The query heads that read a KV head. Both are numbered within a layer, or both through all layers. */
export function queryHeadsOf(
  kvHead: number,
  { queryHeads, kvHeads }: Pick<DecoderSpec, "queryHeads" | "kvHeads">,
): readonly number[] {
  const group = queryHeads / kvHeads;
  return Array.from({ length: group }, (_, order) => kvHead * group + order);
}

/** Head group of each class in the arena's head mask. */
const groupOfClass: Readonly<Record<HeadClass, number>> = { full: 0, stream: 1, dropped: 255 };

/** [layers, kvHeads] head group of each KV head: 0 full, 1 stream, 255 dropped. */
export function headMaskOf(heads: Pick<HeadsFile, "kvHeads">): Uint8Array {
  return Uint8Array.from(heads.kvHeads.flat(), (headClass) => groupOfClass[headClass]);
}

/** What is not computed, or undefined when everything is. */
export function pruningOf(
  { maskedQueryHeads, prunedChannelGroups }: Pick<HeadsFile, "maskedQueryHeads" | "prunedChannelGroups">,
  { queryHeads, feedForwardLength }: HeadsModel["spec"],
): Pruning | undefined {
  const isAny = (lists: readonly (readonly number[])[]): boolean => lists.some((list) => list.length > 0);
  if (!isAny(maskedQueryHeads) && !isAny(prunedChannelGroups)) return undefined;
  return {
    ...(isAny(maskedQueryHeads) && { queryHeads: keptFlags(maskedQueryHeads, queryHeads) }),
    ...(isAny(prunedChannelGroups) && {
      channelGroups: keptFlags(prunedChannelGroups, Math.ceil(feedForwardLength / 32)),
    }),
  };
}

/** [layers, width] 0 where a layer's list names the index, else 1. */
function keptFlags(lists: readonly (readonly number[])[], width: number): Uint8Array {
  const kept = new Uint8Array(lists.length * width).fill(1);
  for (const [layer, list] of lists.entries()) for (const left of list) kept[layer * width + left] = 0;
  return kept;
}

/** KV cache at a length of the text, as a fraction of what it is without the file; prefill chunks and pages come on top. */
export function kvFraction(
  { kvHeads, window }: Pick<HeadsFile, "kvHeads" | "window">,
  tokens: number,
): number {
  const held: Readonly<Record<HeadClass, number>> = {
    full: tokens,
    stream: Math.min(tokens, window.windowTokens + window.sinkTokens),
    dropped: 0,
  };
  const classes = kvHeads.flat();
  return classes.reduce((sum, headClass) => sum + held[headClass], 0) / (classes.length * tokens);
}

/** The file's text, with each innermost list on a line. */
export function formatHeadsFile(heads: HeadsFile): string {
  const indented = JSON.stringify(heads, undefined, 1);
  // Only between items are there line breaks: those of strings are escaped.
  const lists = /\[\n\s*([^[\]{}]*?)\n\s*\]/g;
  return `${indented.replace(lists, (_, items: string) => `[${items.replace(/\n\s*/g, " ")}]`)}\n`;
}
