import { formatError } from "./model-errors.js";

/** A value of a model file's key-value section; integers beyond 2^53 stay bigint. */
export type MetadataValue = string | number | bigint | boolean | readonly MetadataValue[];

/** The key-value section of a model file. */
export type Metadata = ReadonlyMap<string, MetadataValue>;

/**
 * The string at `key`, or `fallback` when the key is absent.
 * @throws {AirError} AIR_ERR_MODEL_FORMAT naming the key when the value is no string, or is absent without fallback.
 */
export function getString(metadata: Metadata, key: string, fallback?: string): string {
  const value = metadata.get(key) ?? fallback;
  if (typeof value !== "string") throw formatError(`metadata ${key}`, "a string", value);
  return value;
}

/**
 * The finite number at `key`, or `fallback` when the key is absent.
 * @throws {AirError} AIR_ERR_MODEL_FORMAT as getString.
 */
export function getNumber(metadata: Metadata, key: string, fallback?: number): number {
  const value = metadata.get(key) ?? fallback;
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw formatError(`metadata ${key}`, "a finite number", value);
  }
  return value;
}

/**
 * The integer at `key` within [minimum, maximum], or `fallback` when the key is absent.
 * @throws {AirError} AIR_ERR_MODEL_FORMAT as getString, and for a value outside the range.
 */
export function getInteger(
  metadata: Metadata,
  key: string,
  range: { readonly minimum: number; readonly maximum: number },
  fallback?: number,
): number {
  const value = metadata.get(key) ?? fallback;
  if (
    typeof value !== "number" ||
    !Number.isInteger(value) ||
    value < range.minimum ||
    value > range.maximum
  ) {
    const expected = `an integer from ${String(range.minimum)} to ${String(range.maximum)}`;
    throw formatError(`metadata ${key}`, expected, value);
  }
  return value;
}

/**
 * The boolean at `key`, or `fallback` when the key is absent.
 * @throws {AirError} AIR_ERR_MODEL_FORMAT when the value is no boolean.
 */
export function getBoolean(metadata: Metadata, key: string, fallback: boolean): boolean {
  const value = metadata.get(key) ?? fallback;
  if (typeof value !== "boolean") throw formatError(`metadata ${key}`, "a boolean", value);
  return value;
}

/**
 * The array of strings at `key`.
 * @throws {AirError} AIR_ERR_MODEL_FORMAT naming the key when it is absent or holds anything else.
 */
export function getStringArray(metadata: Metadata, key: string): readonly string[] {
  return arrayOf(metadata, key, "strings", (value) => typeof value === "string");
}

/**
 * The array of numbers at `key`.
 * @throws {AirError} AIR_ERR_MODEL_FORMAT naming the key when it is absent or holds anything else.
 */
export function getNumberArray(metadata: Metadata, key: string): readonly number[] {
  return arrayOf(metadata, key, "numbers", (value) => typeof value === "number");
}

function arrayOf<T extends MetadataValue>(
  metadata: Metadata,
  key: string,
  kind: string,
  accepts: (value: MetadataValue) => value is T,
): readonly T[] {
  const value = metadata.get(key);
  if (!Array.isArray(value)) throw formatError(`metadata ${key}`, `an array of ${kind}`, value);
  const items = value as readonly MetadataValue[];
  if (!items.every(accepts)) {
    const wrong = items.find((item) => !accepts(item));
    throw formatError(`metadata ${key}`, `an array of ${kind}`, wrong);
  }
  return items;
}
