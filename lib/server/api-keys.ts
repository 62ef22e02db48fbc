import { createHash, timingSafeEqual } from "node:crypto";

import { AirError, describeValue } from "../errors/air-error.js";
import { readTextFile } from "../util/text-file.js";
import { ApiError } from "./http-errors.js";

/** A key that clients may use. The key itself is nowhere. */
export interface ApiKey {
  /** SHA-256 of the key, 32 bytes. */
  readonly hash: Uint8Array;
  /** For logs, metrics and rate limits. */
  readonly name: string;
  /** Requests share computed beginnings of prompts with those of the same tenant only. Default: the name. */
  readonly tenant?: string | undefined;
  /** Of its requests, which may ask for less: -100 to 100. Default 0. */
  readonly priority?: number | undefined;
}

const linePattern = /^([0-9a-fA-F]{64})(?:\s+(\S+)(?:\s+(\S+)(?:\s+(-?\d{1,2}|-?100))?)?)?$/;

/**
 * Reads keys: one per line, as the SHA-256 in hex, then a name, a tenant and a priority if wanted; `#` begins a comment.
 *
 * @param source - where the text comes from, for messages
 * @throws {AirError} AIR_ERR_CONFIG
 */
export function parseApiKeys(text: string, source: string): readonly ApiKey[] {
  const keys: ApiKey[] = [];
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.replace(/(^|\s)#.*$/, "").trim();
    if (line === "") continue;
    const [, hex, name = `key-${keys.length + 1}`, tenant, priority] = linePattern.exec(line) ?? [];
    if (hex === undefined) {
      throw new AirError(
        "AIR_ERR_CONFIG",
        // What stands there may be a key in plain text, so that it is not repeated.
        `expected a SHA-256 in hex, a name, a tenant and a priority for line ${index + 1} of ${source} but received something else`,
      );
    }
    keys.push({
      hash: Buffer.from(hex, "hex"),
      name,
      ...(tenant !== undefined && { tenant }),
      ...(priority !== undefined && { priority: Number(priority) }),
    });
  }
  if (keys.length > 0) return keys;
  throw new AirError("AIR_ERR_CONFIG", `expected at least one key for ${source} but received none`);
}

/**
 * Reads a file of keys.
 *
 * @throws {AirError} AIR_ERR_IO, AIR_ERR_CONFIG
 */
export async function readApiKeys(file: string): Promise<readonly ApiKey[]> {
  return parseApiKeys(await readTextFile(file, "a readable file of API keys"), file);
}

/** The hash that a file of keys holds. */
export function hashApiKey(key: string): Buffer {
  return createHash("sha256").update(key, "utf8").digest();
}

/** The key that a header names. All keys are compared, each in constant time, so that the time tells nothing. */
export function findApiKey(keys: readonly ApiKey[], given: string): ApiKey | undefined {
  const hash = hashApiKey(given);
  let found: ApiKey | undefined;
  for (const key of keys) if (timingSafeEqual(key.hash, hash)) found = key;
  return found;
}

/**
 * Checks an Authorization header.
 *
 * @throws {ApiError} 401
 */
export function authenticate(keys: readonly ApiKey[], header: string | undefined): ApiKey {
  const [, given] = /^Bearer +(\S+)$/i.exec(header ?? "") ?? [];
  const found = given === undefined ? undefined : findApiKey(keys, given);
  if (found !== undefined) return found;
  const received = given === undefined ? describeValue(undefined) : "another";
  throw new ApiError(
    { status: 401, type: "authentication_error", code: "invalid_api_key" },
    `expected a valid API key for the Authorization header (Bearer KEY) but received ${received}`,
  );
}
