import { unsupported } from "../model/model-errors.js";
import {
  canonicalText,
  constraintsOf,
  describePath,
  invalidKeyword,
  isObject,
  listOf,
  resolveReference,
  type SchemaObject,
  type SchemaPath,
  typesOf,
} from "./schema-document.js";

/** Combines the values that two schemas give the same keyword into one that says both. */
type Combine = (left: unknown, right: unknown) => unknown;

const both: Combine = (left, right) => ({ allOf: [left, right] });
const larger: Combine = (left, right) => Math.max(left as number, right as number);
const smaller: Combine = (left, right) => Math.min(left as number, right as number);
const union: Combine = (left, right) => [...new Set([...asList(left), ...asList(right)])];
const common: Combine = (left, right) => {
  const texts = new Set(asList(right).map(canonicalText));
  return asList(left).filter((value) => texts.has(canonicalText(value)));
};

const combinations: ReadonlyMap<string, Combine> = new Map([
  ["enum", common],
  ["required", union],
  ["pattern", union],
  ["items", both],
  ["propertyNames", both],
  ["minimum", larger],
  ["exclusiveMinimum", larger],
  ["minLength", larger],
  ["minItems", larger],
  ["maximum", smaller],
  ["exclusiveMaximum", smaller],
  ["maxLength", smaller],
  ["maxItems", smaller],
]);

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}

/**
 * A schema's constraints without $ref, allOf and const: references followed, all that must hold together merged.
 * "pattern" may come out as a list.
 *
 * @param root - what references point into
 * @throws {AirError} AIR_ERR_UNSUPPORTED when constraints cannot be merged
 */
export function flatten(
  root: unknown,
  schema: unknown,
  path: SchemaPath,
  followed: readonly unknown[] = [],
): SchemaObject {
  const { $ref, allOf, const: constant, ...own } = constraintsOf(schema, path);
  const parts: SchemaObject[] = [own];
  if (constant !== undefined) parts.push({ enum: [constant] });
  if ($ref !== undefined) {
    if (followed.includes($ref))
      throw invalidKeyword(path, "$ref", "one that does not lead back to itself", $ref);
    parts.push(flatten(root, resolveReference(root, $ref, path), path, [...followed, $ref]));
  }
  if (allOf !== undefined) {
    const list = listOf({ allOf }, "allOf", path);
    parts.push(
      ...list.map((part, index) => flatten(root, part, [...path, "allOf", String(index)], followed)),
    );
  }
  return parts.reduce((left, right) => merge(left, right, path));
}

/** One schema that says what two flat ones say. */
export function merge(left: SchemaObject, right: SchemaObject, path: SchemaPath): SchemaObject {
  const merged: Record<string, unknown> = { ...left, ...right };
  for (const keyword of Object.keys(right).filter((name) => name in left)) {
    const [a, b] = [left[keyword], right[keyword]];
    const combine = combinations.get(keyword);
    if (canonicalText(a) === canonicalText(b)) continue;
    else if (keyword === "type") merged["type"] = commonTypes(left, right, path);
    else if (keyword === "properties") merged["properties"] = mergeProperties(a, b, path);
    else if (keyword === "additionalProperties")
      merged[keyword] = a === false || b === false ? false : both(a, b);
    else if (combine !== undefined) merged[keyword] = combine(a, b);
    else throw unsupported(describePath(path, keyword), "the same in all schemas that must hold together", b);
  }
  assertOpen(left, right, path);
  assertOpen(right, left, path);
  return merged;
}

function commonTypes(left: SchemaObject, right: SchemaObject, path: SchemaPath): readonly string[] {
  const types = typesOf(left, path);
  const others = typesOf(right, path);
  const integer = types.includes("integer") || others.includes("integer");
  return [
    ...types.filter((type) => others.includes(type)),
    ...(integer && [types, others].some((list) => list.includes("number")) ? ["integer"] : []),
  ];
}

function mergeProperties(left: unknown, right: unknown, path: SchemaPath): SchemaObject {
  if (!isObject(left)) throw invalidKeyword(path, "properties", "an object", left);
  if (!isObject(right)) throw invalidKeyword(path, "properties", "an object", right);
  const shared = Object.keys(right).filter((name) => Object.hasOwn(left, name));
  return {
    ...left,
    ...right,
    ...Object.fromEntries(shared.map((name) => [name, both(left[name], right[name])])),
  };
}

/** "additionalProperties" only knows the properties beside it, so merging must not put others there. */
function assertOpen(schema: SchemaObject, other: SchemaObject, path: SchemaPath): void {
  const { additionalProperties = true, properties = {} } = schema;
  if (additionalProperties === true || canonicalText(additionalProperties) === "{}") return;
  const own = isObject(properties) ? properties : {};
  const added = isObject(other["properties"]) ? Object.keys(other["properties"]) : [];
  const name = added.find((property) => !Object.hasOwn(own, property));
  if (name === undefined) return;
  throw unsupported(
    describePath(path, "additionalProperties"),
    "true where allOf, anyOf, oneOf or $ref add properties",
    additionalProperties,
  );
}
