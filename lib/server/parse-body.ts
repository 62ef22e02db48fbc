import type { z } from "zod";

import { describeValue } from "../errors/air-error.js";
import { pathName, valueAt } from "../util/options.js";
import { invalidRequest } from "./http-errors.js";

/**
 * Validates the body of a request; unknown fields are left out, as the servers of OpenAI do.
 *
 * @throws {ApiError} 400 that names the first field that is wrong
 */
export function parseBody<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue?.path ?? [];
  const received = valueAt(body, path);
  const param = path.length === 0 ? null : pathName(path);
  const expected = issue?.message ?? "a valid request";
  const message = `expected ${expected} for ${param ?? "the body"} but received ${describeValue(received)}`;
  if (received === undefined && param !== null) {
    throw invalidRequest(message, param, "missing_required_parameter");
  }
  throw invalidRequest(message, param, issue?.code === "invalid_type" ? "invalid_type" : "invalid_value");
}

/** How deep brackets nest in a text of JSON; those in strings do not count. */
export function nestingDepth(json: string): number {
  let depth = 0;
  let deepest = 0;
  let isString = false;
  for (let index = 0; index < json.length; index += 1) {
    const character = json[index];
    if (isString) {
      if (character === "\\") index += 1;
      else if (character === '"') isString = false;
    } else if (character === '"') isString = true;
    else if (character === "{" || character === "[") deepest = Math.max(deepest, (depth += 1));
    else if (character === "}" || character === "]") depth -= 1;
  }
  return deepest;
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Reads a body of JSON.
 *
 * @throws {ApiError} 400 for what is no UTF-8, no JSON or nests too deep
 */
export function parseJson(bytes: Uint8Array, maxDepth: number): unknown {
  if (bytes.byteLength === 0) throw invalidRequest("expected JSON for the body but received nothing", null);
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw invalidRequest("expected UTF-8 for the body but received other bytes", null, "invalid_utf8");
  }
  if (nestingDepth(text) > maxDepth) {
    const message = `expected at most ${maxDepth} nested brackets for the body but received more`;
    throw invalidRequest(message, null, "invalid_json");
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw invalidRequest("expected JSON for the body but received something else", null, "invalid_json");
  }
}
