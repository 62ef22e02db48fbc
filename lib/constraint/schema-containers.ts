import { type Automaton, dead, intersect, subtract } from "./automaton.js";
import { toAutomaton } from "./determinize.js";
import type { Expression, GrammarBuilder } from "./grammar.js";
import { anyString, plainString } from "./json-string.js";
import { literal, literals, optional, type Regular, sequence } from "./regular.js";
import {
  countOf,
  invalidKeyword,
  isObject,
  listOf,
  type SchemaObject,
  type SchemaPath,
} from "./schema-document.js";
import { stringAutomaton } from "./schema-string.js";

/** What containers need of the compiler that knows all values. */
export interface ContainerContext {
  readonly builder: GrammarBuilder;
  /** The expression of any schema. */
  value(schema: unknown, path: SchemaPath): Expression;
  anyValue(): Expression;
  flatten(schema: unknown, path: SchemaPath): SchemaObject;
}

/** White space, wherever it may be: at most one space. More would let a model go on with blanks for ever. */
const space = optional(literal(" "));
const comma: Regular = sequence(literal(","), space);
const colon: Regular = sequence(literal(":"), space);

/** An array: items by position first, then more of one kind. */
export function arrayOf(context: ContainerContext, schema: SchemaObject, path: SchemaPath): Expression {
  const { builder } = context;
  const first = "prefixItems" in schema ? listOf(schema, "prefixItems", path) : [];
  // Like an object's properties, the items that are named are all there may be unless the schema says more.
  const more = schema["items"] ?? (first.length > 0 ? false : true);
  const max = countOf(schema, "maxItems", path) ?? Infinity;
  const min = countOf(schema, "minItems", path) ?? Math.min(first.length, max);
  const item = (index: number): Expression =>
    index < first.length
      ? context.value(first[index], [...path, "prefixItems", String(index)])
      : context.value(more, [...path, "items"]);
  const separator = builder.regular("comma", comma);
  const close = builder.regular("]", literal("]"));

  const counted = Math.max(min, first.length);
  let rest: Expression = close; // what may follow the items so far
  let position = Math.min(max, counted);
  if (max === Infinity) {
    const loop = builder.choice();
    loop.options = [close, builder.sequence(separator, item(counted), loop)];
    rest = loop;
    // An array without items that are counted may be empty, and its first item has no comma.
    if (counted === 0) rest = builder.choice(close, builder.sequence(item(0), loop));
  } else {
    position = max;
  }
  while (position > 0) {
    position -= 1;
    const next = position === 0 ? [item(position), rest] : [separator, item(position), rest];
    const longer = builder.sequence(...next);
    rest = position < min ? longer : builder.choice(close, longer);
  }
  return builder.sequence(builder.regular("[", literal("[")), max < min ? builder.choice() : rest);
}

interface Property {
  readonly name: string;
  readonly schema: unknown;
  readonly required: boolean;
}

/** Which names "propertyNames" allows. */
interface NameRule {
  readonly automaton: Automaton;
  /** All of them, where they are enumerated. */
  readonly listed: readonly string[] | undefined;
}

interface Members {
  readonly properties: readonly Property[];
  /** Undefined where only the properties may be. */
  readonly others: { readonly keys: Automaton; readonly schema: unknown } | undefined;
}

/** An object: its properties in the order of the schema, then others where the schema allows them. */
export function objectOf(context: ContainerContext, schema: SchemaObject, path: SchemaPath): Expression {
  const { builder } = context;
  const { properties, others } = membersOf(context, schema, path);
  const close = builder.regular("}", literal("}"));
  // What may follow before and after the first member.
  let first: Expression = close;
  let later: Expression = close;
  if (others !== undefined) {
    const member = builder.sequence(
      builder.terminal(others.keys),
      builder.regular("colon", colon),
      context.value(others.schema, [...path, "additionalProperties"]),
    );
    const loop = builder.choice();
    loop.options = [close, builder.sequence(builder.regular("comma", comma), member, loop)];
    later = loop;
    first = builder.choice(close, builder.sequence(member, loop));
  }
  for (const { name, schema: own, required } of [...properties].reverse()) {
    const value = context.value(own, [...path, "properties", name]);
    const key = sequence(literal(JSON.stringify(name)), colon);
    const leading = builder.sequence(builder.regular(`key ${name}`, key), value, later);
    const following = builder.sequence(builder.regular(`, key ${name}`, sequence(comma, key)), value, later);
    first = required ? leading : builder.choice(leading, first);
    later = required ? following : builder.choice(following, later);
  }
  return builder.sequence(builder.regular("{", literal("{")), first);
}

/** The properties that are known by name, and which others there may be. */
function membersOf(context: ContainerContext, schema: SchemaObject, path: SchemaPath): Members {
  const { properties = {}, additionalProperties = !("properties" in schema) } = schema;
  if (!isObject(properties)) throw invalidKeyword(path, "properties", "an object", properties);
  const required = "required" in schema ? listOf(schema, "required", path) : [];
  const { automaton, listed } = nameRule(context, schema, path);
  const names = new Set([...Object.keys(properties), ...required, ...(listed ?? [])]);
  const known = Array.from(names, (name): Property => {
    if (typeof name !== "string") throw invalidKeyword(path, "required", "an array of strings", required);
    const own = Object.hasOwn(properties, name) ? properties[name] : (schema["additionalProperties"] ?? true);
    return { name, schema: matches(automaton, name) ? own : false, required: required.includes(name) };
  });
  // Where all names are listed, each may come once.
  if (additionalProperties === false || listed !== undefined) return { properties: known, others: undefined };
  const keys = otherKeys(
    automaton,
    known.map(({ name }) => name),
  );
  return { properties: known, others: { keys, schema: additionalProperties } };
}

function nameRule(context: ContainerContext, schema: SchemaObject, path: SchemaPath): NameRule {
  if (!("propertyNames" in schema)) return { automaton: anyString, listed: undefined };
  const at = [...path, "propertyNames"];
  const rule = context.flatten(schema["propertyNames"], at);
  if (!("enum" in rule)) return { automaton: stringAutomaton(rule, at), listed: undefined };
  const listed = listOf(rule, "enum", at).filter((name) => typeof name === "string");
  return { automaton: namesAutomaton(listed), listed };
}

function namesAutomaton(names: readonly string[]): Automaton {
  return toAutomaton(literals(names.map((name) => JSON.stringify(name))));
}

/** Keys of other properties; they are written plainly, so that escapes cannot spell a name that is taken. */
function otherKeys(allowed: Automaton, names: readonly string[]): Automaton {
  if (names.length === 0) return allowed;
  const plain = allowed === anyString ? plainString : intersect(allowed, plainString);
  return subtract(plain, namesAutomaton(names));
}

function matches(automaton: Automaton, name: string): boolean {
  let state = automaton.start;
  for (const byte of Buffer.from(JSON.stringify(name))) {
    if (state === dead) return false;
    state = automaton.step(state, byte);
  }
  return state !== dead && automaton.accepts(state);
}
