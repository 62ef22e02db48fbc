/**
 * Whether a value is valid under a JSON schema, for the keywords that lib/constraint supports. Written from the
 * specification (draft 2020-12) and apart from lib/, so that the two can disagree.
 */
export function isValid(schema: unknown, value: unknown, root: unknown = schema): boolean {
  if (typeof schema === "boolean") return schema;
  const rules = schema as Record<string, unknown>;
  const check = (inner: unknown, part: unknown): boolean => isValid(inner, part, root);
  const list = (keyword: string): unknown[] => (rules[keyword] as unknown[] | undefined) ?? [];
  if (typeof rules["$ref"] === "string" && !check(follow(root, rules["$ref"]), value)) return false;
  if (!list("allOf").every((part) => check(part, value))) return false;
  if ("anyOf" in rules && !list("anyOf").some((part) => check(part, value))) return false;
  if ("oneOf" in rules && list("oneOf").filter((part) => check(part, value)).length !== 1) return false;
  if ("not" in rules && check(rules["not"], value)) return false;
  if ("const" in rules && !equal(rules["const"], value)) return false;
  if ("enum" in rules && !list("enum").some((one) => equal(one, value))) return false;
  if ("type" in rules && ![rules["type"]].flat().some((type) => isOfType(value, type))) return false;
  if (typeof value === "number") return isValidNumber(rules, value);
  if (typeof value === "string") return isValidString(rules, value);
  if (Array.isArray(value)) return isValidArray(rules, value, check);
  if (typeof value === "object" && value !== null) return isValidObject(rules, value, check);
  return true;
}

type Check = (schema: unknown, value: unknown) => boolean;
type Rules = Record<string, unknown>;

function follow(root: unknown, pointer: string): unknown {
  const segments = pointer.split("/").slice(1);
  return segments.reduce<unknown>((part, name) => (part as Rules)[name.replaceAll("~1", "/")], root);
}

function equal(a: unknown, b: unknown): boolean {
  const sorted = (value: unknown): unknown =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.entries(value)
          .sort(([x], [y]) => (x < y ? -1 : 1))
          .map(([key, inner]) => [key, sorted(inner)])
      : value;
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function isOfType(value: unknown, type: unknown): boolean {
  if (type === "integer") return Number.isInteger(value);
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  return typeof value === type;
}

function isValidNumber(rules: Rules, value: number): boolean {
  const limit = (keyword: string): number | undefined => rules[keyword] as number | undefined;
  const divisor = limit("multipleOf");
  return (
    Number.isFinite(value) &&
    value >= (limit("minimum") ?? -Infinity) &&
    value <= (limit("maximum") ?? Infinity) &&
    value > (limit("exclusiveMinimum") ?? -Infinity) &&
    value < (limit("exclusiveMaximum") ?? Infinity) &&
    (divisor === undefined || Number.isInteger(value / divisor))
  );
}

function isValidString(rules: Rules, value: string): boolean {
  const {
    minLength = 0,
    maxLength = Infinity,
    pattern,
    format,
  } = rules as {
    minLength?: number;
    maxLength?: number;
    pattern?: string;
    format?: string;
  };
  // Strict on both sides: JSON Schema counts code points, zod UTF-16 units.
  if ([...value].length < minLength || value.length > maxLength || /\p{Surrogate}/u.test(value)) return false;
  if (format === "date" && !Number.isFinite(Date.parse(value))) return false;
  if (format === "date" && new Date(value).toISOString().slice(0, 10) !== value) return false;
  return pattern === undefined || new RegExp(pattern, "u").test(value);
}

function isValidArray(rules: Rules, value: unknown[], check: Check): boolean {
  const {
    prefixItems = [],
    items = true,
    minItems = 0,
    maxItems = Infinity,
  } = rules as {
    prefixItems?: unknown[];
    items?: unknown;
    minItems?: number;
    maxItems?: number;
  };
  if (value.length < minItems || value.length > maxItems) return false;
  return value.every((item, index) => check(index < prefixItems.length ? prefixItems[index] : items, item));
}

function isValidObject(rules: Rules, value: object, check: Check): boolean {
  const {
    properties = {},
    required = [],
    additionalProperties = true,
    propertyNames = true,
  } = rules as {
    properties?: Record<string, unknown>;
    required?: string[];
    additionalProperties?: unknown;
    propertyNames?: unknown;
  };
  if (!required.every((name) => Object.hasOwn(value, name))) return false;
  return Object.entries(value).every(
    ([name, inner]) =>
      check(propertyNames, name) &&
      check(Object.hasOwn(properties, name) ? properties[name] : additionalProperties, inner),
  );
}
