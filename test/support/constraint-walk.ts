import { expect } from "vitest";

import type { ErrorCode } from "../../lib/errors/air-error.js";
import type { TokenConstraint } from "../../lib/decoding/constraint.js";
import type { Tokenizer } from "../../lib/model/tokenizer.js";

/** The tokens that a constraint allows next, ascending. */
export function allowedTokens(constraint: TokenConstraint, tokenizer: Tokenizer): number[] {
  const row = new Float32Array(tokenizer.vocabSize);
  constraint.mask(row);
  const allowed: number[] = [];
  for (const [token, logit] of row.entries()) if (logit === 0) allowed.push(token);
  return allowed;
}

/** Whether the mask lets a text through, token by token, up to and without an end-of-generation token. */
export function passes(constraint: TokenConstraint, tokenizer: Tokenizer, tokens: Iterable<number>): boolean {
  for (const token of tokens) {
    if (!allowedTokens(constraint, tokenizer).includes(token)) return false;
    constraint.accept(token);
  }
  return true;
}

/** The text of tokens as a generation shows it. */
export function textOf(tokenizer: Tokenizer, tokens: readonly number[]): string {
  const decoder = tokenizer.createDecoder();
  return tokens.map((token) => decoder.push(token)).join("") + decoder.flush();
}

const tokensByFirstByte = new WeakMap<Tokenizer, ReadonlyMap<number, readonly number[]>>();

function byFirstByte(tokenizer: Tokenizer): ReadonlyMap<number, readonly number[]> {
  const known = tokensByFirstByte.get(tokenizer);
  if (known !== undefined) return known;
  const tokens = Array.from({ length: tokenizer.vocabSize }, (_, token) => token);
  const grouped = new Map<number, number[]>();
  for (const token of tokens.filter((id) => !tokenizer.isControl(id))) {
    const first = tokenizer.tokenBytes(token)[0] ?? -1;
    grouped.set(first, [...(grouped.get(first) ?? []), token]);
  }
  tokensByFirstByte.set(tokenizer, grouped);
  return grouped;
}

/** A random way to cut a text into tokens of the vocabulary. */
export function randomTokens(tokenizer: Tokenizer, text: string, random: () => number): number[] {
  const bytes = Buffer.from(text);
  const tokens: number[] = [];
  for (let from = 0; from < bytes.length;) {
    const candidates = byFirstByte(tokenizer).get(bytes[from] ?? NaN) ?? [];
    const options = candidates.filter((token) => {
      const own = tokenizer.tokenBytes(token);
      return bytes.subarray(from, from + own.length).equals(own);
    });
    const token = options[Math.floor(random() * options.length)] ?? NaN;
    tokens.push(token);
    from += tokenizer.tokenBytes(token).length;
  }
  return tokens;
}

/** Matches an AirError by its code and message. */
export function anAirError(code: ErrorCode, message: RegExp): unknown {
  return expect.objectContaining({ code, message: expect.stringMatching(message) });
}
