import { describe, expect, test } from "vitest";

import {
  getBoolean,
  getInteger,
  getNumber,
  getNumberArray,
  getString,
  getStringArray,
  type Metadata,
} from "../../../lib/model/metadata.js";
import { airError } from "./gguf-bytes.js";

const metadata: Metadata = new Map<string, Metadata extends ReadonlyMap<string, infer V> ? V : never>([
  ["text", "a"],
  ["number", 1.5],
  ["large", 2n ** 60n],
  ["flag", true],
  ["texts", ["a", "b"]],
  ["mixed", ["a", 1]],
]);
const range = { minimum: 1, maximum: 9 };

describe("metadata lookups", () => {
  test("return values of the right type, and fallbacks for absent keys", () => {
    expect(getString(metadata, "text")).toBe("a");
    expect(getNumber(metadata, "number")).toBe(1.5);
    expect(getBoolean(metadata, "flag", false)).toBe(true);
    expect(getStringArray(metadata, "texts")).toEqual(["a", "b"]);
    expect(getInteger(metadata, "absent", range, 4)).toBe(4);
  });

  test.each([
    [
      "an absent key",
      () => getString(metadata, "absent"),
      "expected a string for metadata absent but received undefined",
    ],
    [
      "a number for text",
      () => getString(metadata, "number"),
      "a string for metadata number but received 1.5",
    ],
    ["an integer beyond 2^53", () => getNumber(metadata, "large"), "but received 1152921504606846976n"],
    ["a fraction", () => getInteger(metadata, "number", range), "an integer from 1 to 9 for metadata number"],
    ["a fallback out of range", () => getInteger(metadata, "absent", range, 10), "but received 10"],
    ["text for a flag", () => getBoolean(metadata, "text", true), "a boolean for metadata text"],
    [
      "a mixed array",
      () => getStringArray(metadata, "mixed"),
      "an array of strings for metadata mixed but received 1",
    ],
    [
      "a scalar for an array",
      () => getNumberArray(metadata, "number"),
      "an array of numbers for metadata number",
    ],
  ])("refuse %s and name the key", async (_, lookUp, message) => {
    const error = await airError(lookUp);
    expect(error.code).toBe("AIR_ERR_MODEL_FORMAT");
    expect(error.message).toContain(message);
  });
});
