import { unsupported } from "../model/model-errors.js";
import { type Automaton, intersect } from "./automaton.js";
import { anyString, CountedString } from "./json-string.js";
import { patternAutomaton } from "./pattern.js";
import {
  countOf,
  describePath,
  invalidKeyword,
  type SchemaObject,
  type SchemaPath,
} from "./schema-document.js";

const date =
  "(\\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))" +
  "|(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)";
const time = "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)";
const hex = "[0-9a-fA-F]";

/** Formats of strings that are held to, as patterns. */
const formats: ReadonlyMap<string, string> = new Map([
  ["date", `^${date}$`],
  ["time", `^${time}$`],
  ["date-time", `^${date}T${time}$`],
  ["uuid", `^${hex}{8}-${hex}{4}-${hex}{4}-${hex}{4}-${hex}{12}$`],
  ["ipv4", "^((25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)\\.){3}(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)$"],
  ["email", "^[\\w+-]+(\\.[\\w+-]+)*@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\\.)+[A-Za-z]{2,}$"],
]);

/** A longer maximum is cut to this, which keeps the counts of CountedString exact. */
const longest = 2 ** 20;

/**
 * The strings that a schema's string keywords allow.
 *
 * @throws {AirError} AIR_ERR_ARGUMENT for values of the wrong kind, AIR_ERR_UNSUPPORTED for patterns and formats that
 *   cannot be held to
 */
export function stringAutomaton(schema: SchemaObject, path: SchemaPath): Automaton {
  const min = countOf(schema, "minLength", path) ?? 0;
  const max = countOf(schema, "maxLength", path) ?? Infinity;
  const parts = patternsOf(schema, path).map((pattern) => patternAutomaton(pattern));
  if (min > 0 || max < Infinity)
    parts.push(new CountedString(min, max === Infinity ? max : Math.min(max, longest)));
  const [first = anyString, ...others] = parts;
  return others.reduce(intersect, first);
}

function patternsOf(schema: SchemaObject, path: SchemaPath): readonly string[] {
  const { pattern = [], format } = schema;
  const given: readonly unknown[] = Array.isArray(pattern) ? pattern : [pattern];
  const patterns = given.map((text) => {
    if (typeof text === "string") return text;
    throw invalidKeyword(path, "pattern", "a string", text);
  });
  if (format === undefined) return patterns;
  if (typeof format !== "string") throw invalidKeyword(path, "format", "a string", format);
  const known = formats.get(format);
  if (known !== undefined) return [...patterns, known];
  // A pattern beside an unknown format is what zod writes: it says all there is to say.
  if (patterns.length > 0) return patterns;
  throw unsupported(
    describePath(path, "format"),
    `one of ${[...formats.keys()].join(", ")}, or a pattern`,
    format,
  );
}
