import { z } from "zod";

import { AirArgumentError, describeValue } from "../errors/air-error.js";
import { readTextFile } from "../util/text-file.js";
import type { RoutedPrompt } from "./complexity.js";

/** A prompt whose tier is known. */
export interface LabelledPrompt {
  readonly prompt: RoutedPrompt;
  /** 0 simple, 1 demanding, 2 hard. */
  readonly tier: 0 | 1 | 2;
  /** Prompts of a family are alike; cross-validation keeps them together. */
  readonly family?: string;
  readonly topic?: string;
}

const message = z.object({ role: z.enum(["system", "user", "assistant"]), content: z.string() });
const noTier = "0, 1 or 2";

const lineSchema = z.object({
  prompt: z.string("a string").min(1, "some text").optional(),
  messages: z.array(message, "a list of messages").min(1, "at least one message").optional(),
  tier: z.union([z.literal(0), z.literal(1), z.literal(2)], noTier).optional(),
  family: z.string("a string").optional(),
  topic: z.string("a string").optional(),
});

type Line = z.output<typeof lineSchema>;

function lineError(source: string, line: number, expected: string, received: string): AirArgumentError {
  return new AirArgumentError(
    "AIR_ERR_ARGUMENT",
    `expected ${expected} for line ${line} of ${source} but received ${received}`,
  );
}

function parseLine(text: string, source: string, line: number): Line & { readonly routed: RoutedPrompt } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw lineError(source, line, "a JSON object", describeValue(text));
  }
  const parsed = lineSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const name = issue?.path.join(".") ?? "";
    const received = issue?.path.reduce<unknown>(
      (inner, key) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined),
      value,
    );
    const where = name === "" ? "an object" : `${name} to be ${issue?.message ?? "valid"}`;
    throw lineError(source, line, where, describeValue(received));
  }
  const { prompt, messages } = parsed.data;
  const routed = messages ?? prompt;
  if (routed === undefined || (messages !== undefined && prompt !== undefined)) {
    const received = routed === undefined ? "neither" : "both";
    throw lineError(source, line, "either prompt or messages", received);
  }
  return { ...parsed.data, routed };
}

function parseLines(
  text: string,
  source: string,
): readonly (readonly [ReturnType<typeof parseLine>, number])[] {
  const lines = text.replace(/^\ufeff/, "").split("\n");
  return lines.flatMap((line, index) =>
    line.trim() === "" ? [] : [[parseLine(line, source, index + 1), index + 1] as const],
  );
}

/**
 * Prompts of JSONL, one {"prompt": string} or {"messages": [...]} a line; other fields are ignored.
 *
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT naming the line that is none
 */
export function parsePrompts(text: string, source: string): readonly RoutedPrompt[] {
  return parseLines(text, source).map(([{ routed }]) => routed);
}

/**
 * Prompts of JSONL with "tier": 0, 1 or 2, and optionally "family" and "topic".
 *
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT naming the line that is none
 */
export function parseLabelledPrompts(text: string, source: string): readonly LabelledPrompt[] {
  return parseLines(text, source).map(([{ routed, tier, family, topic }, line]) => {
    if (tier === undefined) throw lineError(source, line, `tier to be ${noTier}`, "none");
    return {
      prompt: routed,
      tier,
      ...(family !== undefined && { family }),
      ...(topic !== undefined && { topic }),
    };
  });
}

/**
 * As parseLabelledPrompts(), from a file.
 *
 * @throws {AirError} AIR_ERR_IO when it cannot be read
 */
export async function readLabelledPrompts(path: string): Promise<readonly LabelledPrompt[]> {
  return parseLabelledPrompts(await readTextFile(path, "a readable JSONL file"), path);
}
