import { invalidArgument } from "../errors/air-error.js";
import { unsupported } from "../model/model-errors.js";
import { type Automaton, intersect } from "./automaton.js";
import { type Expression, GrammarBuilder } from "./grammar.js";
import { integerAutomaton, multiplesAutomaton, numberAutomaton } from "./json-number.js";
import { literal, literals } from "./regular.js";
import { type ContainerContext, arrayOf, objectOf } from "./schema-containers.js";
import {
  canonicalText,
  describePath,
  invalidKeyword,
  isObject,
  keywordsByType,
  listOf,
  numberOf,
  type SchemaObject,
  type SchemaPath,
  type TypeName,
  typesOf,
} from "./schema-document.js";
import { flatten, merge } from "./schema-merge.js";
import { stringAutomaton } from "./schema-string.js";

/**
 * The grammar of the JSON documents that a schema allows; docs/constrained-output.md lists what is supported.
 *
 * @param root - JSON that was parsed, so that it has no cycles
 * @throws {AirError} AIR_ERR_ARGUMENT when it is no schema or nothing satisfies it, AIR_ERR_UNSUPPORTED for keywords
 *   and combinations that are not supported
 */
export function schemaGrammar(root: unknown): Expression {
  const compiler = new SchemaCompiler(root);
  const expression = compiler.value(root, []);
  if (!compiler.builder.prune(expression)) {
    throw invalidArgument("the schema", "one that some document satisfies", root);
  }
  return expression;
}

/** Largest divisor of "multipleOf"; the automaton has a state for each remainder. */
const maxDivisor = 1000;

class SchemaCompiler implements ContainerContext {
  readonly builder = new GrammarBuilder();
  readonly #root: unknown;
  /** By the text of the schema: equal parts share an expression, and recursion ends here. */
  readonly #values = new Map<string, Expression>();
  #any: Expression | undefined;

  constructor(root: unknown) {
    this.#root = root;
  }

  value(schema: unknown, path: SchemaPath): Expression {
    const text = JSON.stringify(schema);
    const known = this.#values.get(text);
    if (known !== undefined) return known;
    const made = this.builder.choice();
    this.#values.set(text, made);
    made.options = this.#alternatives(this.flatten(schema, path), path);
    return made;
  }

  flatten(schema: unknown, path: SchemaPath): SchemaObject {
    return flatten(this.#root, schema, path);
  }

  anyValue(): Expression {
    if (this.#any !== undefined) return this.#any;
    const any = this.builder.choice();
    this.#any = any;
    any.options = [
      ...(["string", "number", "boolean", "null"] as const).map((type) => this.#ofType(type, {}, [])),
      arrayOf(this, {}, []),
      objectOf(this, {}, []),
    ];
    return any;
  }

  #alternatives(schema: SchemaObject, path: SchemaPath): readonly Expression[] {
    for (const keyword of ["anyOf", "oneOf"] as const) {
      if (!(keyword in schema)) continue;
      const base = Object.fromEntries(Object.entries(schema).filter(([name]) => name !== keyword));
      const options = listOf(schema, keyword, path).map((option, index) => {
        const at = [...path, keyword, String(index)];
        return merge(base, this.flatten(option, at), at);
      });
      if (keyword === "oneOf") this.#assertExclusive(options, path);
      return options.map((option, index) => this.value(option, [...path, keyword, String(index)]));
    }
    if ("not" in schema) {
      if (canonicalText(schema["not"]) === "{}" || schema["not"] === true) return [];
      throw unsupported(describePath(path, "not"), "{} (nothing is valid)", schema["not"]);
    }
    if (Object.keys(schema).length === 0) return [this.anyValue()];
    if ("enum" in schema) return [this.#enumeration(schema, path)];
    return typesOf(schema, path).map((type) => this.#ofType(type, schema, path));
  }

  #ofType(type: TypeName, schema: SchemaObject, path: SchemaPath): Expression {
    switch (type) {
      case "object":
        return objectOf(this, schema, path);
      case "array":
        return arrayOf(this, schema, path);
      case "string":
        return this.#terminalOf("string", schema, () => stringAutomaton(schema, path));
      case "integer":
      case "number":
        return this.#terminalOf(type, schema, () => numbers(type, schema, path));
      case "boolean":
        return this.builder.regular("boolean", literals(["true", "false"]));
      case "null":
        return this.builder.regular("null", literal("null"));
    }
  }

  #terminalOf(
    type: "string" | "integer" | "number",
    schema: SchemaObject,
    make: () => Automaton,
  ): Expression {
    const own = keywordsByType[type === "integer" ? "number" : type];
    const values = own.map((keyword) => schema[keyword] ?? null);
    return this.builder.named(`${type} ${JSON.stringify(values)}`, make);
  }

  #enumeration(schema: SchemaObject, path: SchemaPath): Expression {
    const other = Object.keys(schema).find((keyword) => keyword !== "enum" && keyword !== "type");
    if (other !== undefined)
      throw unsupported(describePath(path, other), 'nothing but "type" beside enum', other);
    const types = typesOf({ type: schema["type"] }, path);
    const values = listOf(schema, "enum", path).filter((value) =>
      types.some((type) => isOfType(value, type)),
    );
    const texts = values.map((value) => JSON.stringify(value));
    return this.builder.regular(`enum ${texts.join()}`, literals(texts));
  }

  /** oneOf is anyOf where no value is valid under two options. */
  #assertExclusive(options: readonly SchemaObject[], path: SchemaPath): void {
    for (const [index, option] of options.entries()) {
      for (const other of options.slice(0, index)) {
        if (this.#exclude(option, other, path)) continue;
        throw unsupported(
          describePath(path, "oneOf"),
          "options of different types, values, or values of a required property (else use anyOf)",
          "options that overlap",
        );
      }
    }
  }

  #exclude(left: SchemaObject, right: SchemaObject, path: SchemaPath): boolean {
    const [values, others] = [left, right].map((schema) =>
      "enum" in schema ? listOf(schema, "enum", path) : undefined,
    );
    if (values !== undefined && others !== undefined) {
      const texts = new Set(others.map(canonicalText));
      if (!values.some((value) => texts.has(canonicalText(value)))) return true;
    }
    const [types, otherTypes] = [left, right].map((schema) => numeric(typesOf(schema, path)));
    if (types?.every((type) => otherTypes?.includes(type) === false) === true) return true;
    if (types?.join() !== "object" || otherTypes?.join() !== "object") return false;
    const required = [left, right].map((schema) =>
      "required" in schema ? listOf(schema, "required", path) : [],
    );
    return (required[0] ?? []).some((name) => {
      if (typeof name !== "string" || required[1]?.includes(name) !== true) return false;
      const [property, otherProperty] = [left, right].map(({ properties }) =>
        isObject(properties) && Object.hasOwn(properties, name) ? this.flatten(properties[name], path) : {},
      );
      return this.#exclude(property ?? {}, otherProperty ?? {}, path);
    });
  }
}

/** Types with integers counted as numbers, which overlap. */
function numeric(types: readonly TypeName[]): readonly TypeName[] {
  return types.map((type) => (type === "integer" ? "number" : type));
}

function numbers(type: "integer" | "number", schema: SchemaObject, path: SchemaPath): Automaton {
  const [minimum, maximum, exclusiveMinimum, exclusiveMaximum, divisor] = keywordsByType.number.map(
    (keyword) => numberOf(schema, keyword, path),
  );
  const bounds = { minimum, maximum, exclusiveMinimum, exclusiveMaximum };
  if (divisor === undefined) return type === "integer" ? integerAutomaton(bounds) : numberAutomaton(bounds);
  if (divisor <= 0) throw invalidKeyword(path, "multipleOf", "a number above 0", divisor);
  if (!Number.isInteger(divisor) || divisor > maxDivisor) {
    throw unsupported(describePath(path, "multipleOf"), `an integer up to ${maxDivisor}`, divisor);
  }
  // Multiples of an integer are integers.
  return intersect(integerAutomaton(bounds), multiplesAutomaton(divisor));
}

function isOfType(value: unknown, type: TypeName): boolean {
  switch (type) {
    case "object":
      return isObject(value);
    case "array":
      return Array.isArray(value);
    case "integer":
      return Number.isInteger(value);
    case "null":
      return value === null;
    default:
      return typeof value === type;
  }
}
