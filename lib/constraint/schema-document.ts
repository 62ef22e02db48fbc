import { invalidArgument } from "../errors/air-error.js";
import { unsupported } from "../model/model-errors.js";

/** A JSON schema that is not just true or false. */
export type SchemaObject = Readonly<Record<string, unknown>>;

/** Where in the schema a part stands, for messages. */
export type SchemaPath = readonly string[];

/** All types of JSON Schema. */
export const typeNames = ["object", "array", "string", "integer", "number", "boolean", "null"] as const;

/** A type that JSON Schema names. */
export type TypeName = (typeof typeNames)[number];

/** Keywords that say nothing about which values are valid, or only hold parts for $ref. */
const annotations: ReadonlySet<string> = new Set(
  "$schema $id $comment $defs definitions title description default examples deprecated readOnly writeOnly".split(
    " ",
  ),
)
  .add("contentEncoding")
  .add("contentMediaType");

/** Keywords that apply whatever the type. */
const generalKeywords = "type enum const $ref anyOf oneOf allOf not".split(" ");

/** Keywords by the type that they constrain. */
export const keywordsByType = {
  object: "properties required additionalProperties propertyNames".split(" "),
  array: "items prefixItems minItems maxItems".split(" "),
  string: "minLength maxLength pattern format".split(" "),
  number: "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf".split(" "),
} as const;

const keywords: ReadonlySet<string> = new Set([...generalKeywords, ...Object.values(keywordsByType).flat()]);

/** The most that schemas may nest. */
const maxDepth = 100;

/** Where a part of the schema stands, in words. */
export function describePath(path: SchemaPath, keyword?: string): string {
  const where = ["schema", ...path].join(".");
  return keyword === undefined ? where : `"${keyword}" in ${where}`;
}

/** An error about the value of a keyword. */
export function invalidKeyword(
  path: SchemaPath,
  keyword: string,
  expected: string,
  received: unknown,
): Error {
  return invalidArgument(describePath(path, keyword), expected, received);
}

/** Whether a value is an object as JSON has them. */
export function isObject(value: unknown): value is SchemaObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The keywords of a schema that constrain. True is a schema without any, false one that nothing satisfies.
 *
 * @throws {AirError} AIR_ERR_ARGUMENT when it is no schema, AIR_ERR_UNSUPPORTED for keywords that are not known here
 */
export function constraintsOf(schema: unknown, path: SchemaPath): SchemaObject {
  if (path.length > maxDepth) throw unsupported("the schema", `at most ${maxDepth} levels`, "more");
  if (schema === true) return {};
  if (schema === false) return { enum: [] };
  if (!isObject(schema)) throw invalidArgument(describePath(path), "an object, true or false", schema);
  const kept = Object.entries(schema).filter(
    ([keyword]) => !annotations.has(keyword) && !keyword.startsWith("x-"),
  );
  for (const [keyword] of kept) {
    if (keywords.has(keyword)) continue;
    throw unsupported(
      `${describePath(path, keyword)}: a keyword`,
      `one of ${[...keywords].sort().join(", ")}`,
      keyword,
    );
  }
  return Object.fromEntries(kept);
}

/**
 * The part of a schema that a $ref points to.
 *
 * @throws {AirError} AIR_ERR_UNSUPPORTED when it points outside, AIR_ERR_ARGUMENT when there is nothing
 */
export function resolveReference(root: unknown, reference: unknown, path: SchemaPath): unknown {
  if (typeof reference !== "string") throw invalidKeyword(path, "$ref", "a string", reference);
  if (!/^#(\/|$)/.test(reference)) {
    throw unsupported(describePath(path, "$ref"), 'a pointer within the schema ("#/$defs/name")', reference);
  }
  let part = root;
  for (const segment of pointerSegments(reference)) {
    const found: unknown =
      typeof part === "object" && part !== null && Object.hasOwn(part, segment)
        ? Reflect.get(part, segment)
        : undefined;
    if (found === undefined)
      throw invalidKeyword(path, "$ref", "a pointer to a part of the schema", reference);
    part = found;
  }
  return part;
}

function pointerSegments(reference: string): readonly string[] {
  return reference
    .slice(2)
    .split("/")
    .filter((_, index) => reference.length > 2 || index > 0)
    .map((segment) => decode(segment).replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** Percent-decoded where that is possible. */
function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** The types that a schema allows: those it names, else those its keywords are about, else all. */
export function typesOf(schema: SchemaObject, path: SchemaPath): readonly TypeName[] {
  const { type } = schema;
  if (type === undefined) {
    const implied = Object.entries(keywordsByType).flatMap(([name, own]) =>
      own.some((keyword) => keyword in schema) ? [name as TypeName] : [],
    );
    return implied.length > 0 ? implied : typeNames.filter((name) => name !== "integer");
  }
  const named: readonly unknown[] = Array.isArray(type) ? type : [type];
  for (const name of named) {
    if (typeNames.some((known) => known === name)) continue;
    throw invalidKeyword(path, "type", `one or more of ${typeNames.join(", ")}`, name);
  }
  const types = [...new Set(named)] as TypeName[];
  return types.includes("number") ? types.filter((name) => name !== "integer") : types;
}

/** The items of a keyword that holds a list. */
export function listOf(schema: SchemaObject, keyword: string, path: SchemaPath): readonly unknown[] {
  const list = schema[keyword];
  if (!Array.isArray(list)) throw invalidKeyword(path, keyword, "an array", list);
  return list;
}

/** A keyword that holds a count, or undefined. */
export function countOf(schema: SchemaObject, keyword: string, path: SchemaPath): number | undefined {
  const count = schema[keyword];
  if (count === undefined) return undefined;
  if (typeof count === "number" && Number.isInteger(count) && count >= 0) return count;
  throw invalidKeyword(path, keyword, "an integer of at least 0", count);
}

/** A keyword that holds a number, or undefined. */
export function numberOf(schema: SchemaObject, keyword: string, path: SchemaPath): number | undefined {
  const number = schema[keyword];
  if (number === undefined || typeof number === "number") return number;
  throw invalidKeyword(path, keyword, "a number", number);
}

/** Equal for equal JSON values, whatever the order of their properties. */
export function canonicalText(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    isObject(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}
