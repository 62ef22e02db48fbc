import { z } from "zod";

import type { CompiledConstraint } from "../decoding/constraint.js";
import { AirError, invalidArgument, reasonOf } from "../errors/air-error.js";
import { unsupported } from "../model/model-errors.js";
import type { Tokenizer } from "../model/tokenizer.js";
import type { Expression } from "./grammar.js";
import { JsonMatcher } from "./json-matcher.js";
import { schemaGrammar } from "./schema-grammar.js";
import { TokenMasks } from "./token-masks.js";
import { buildTokenTrie } from "./token-trie.js";

/** A zod 4 schema, or a JSON schema as JSON has it: an object, true or false. */
export type JsonSchema = z.core.$ZodType | Readonly<Record<string, unknown>> | boolean;

/** What is kept for a tokenizer, as long as the tokenizer itself is. */
interface TokenizerCache {
  readonly masks: Promise<TokenMasks>;
  /** By the text of the schema, least recently used first. */
  readonly compiled: Map<string, CompiledConstraint>;
}

const caches = new WeakMap<Tokenizer, TokenizerCache>();
/** Schemas kept for each tokenizer. */
const maxCompiled = 64;
const maxCharacters = 2 ** 18;

/**
 * Compiles a schema into a constraint on the tokens of a generation, so that its text is a JSON document which the
 * schema allows. A schema is compiled once for each tokenizer, and kept while it is among the last 64 of them.
 *
 * @throws {AirError} AIR_ERR_ARGUMENT when it is no schema, or one that no document satisfies; AIR_ERR_UNSUPPORTED for
 *   keywords that are not supported, for a zod schema that has no JSON form, and for a vocabulary that lacks bytes
 * @example
 * const compiled = await compileJsonSchema(z.object({ name: z.string(), age: z.int() }), model.tokenizer);
 */
export async function compileJsonSchema(
  schema: JsonSchema,
  tokenizer: Tokenizer,
): Promise<CompiledConstraint> {
  const text = schemaText(schema);
  const cache = cacheOf(tokenizer);
  const known = cache.compiled.get(text);
  const compiled = known ?? compile(text, tokenizer, await cache.masks);
  cache.compiled.delete(text);
  cache.compiled.set(text, compiled);
  for (const oldest of cache.compiled.keys()) {
    if (cache.compiled.size <= maxCompiled) break;
    cache.compiled.delete(oldest);
  }
  return compiled;
}

function compile(text: string, tokenizer: Tokenizer, masks: TokenMasks): CompiledConstraint {
  const root = grammarOf(text);
  return { start: () => new JsonMatcher(root, tokenizer, masks) };
}

/** Patterns and values of any depth come from outside; running out of stack must not look like a bug. */
function grammarOf(text: string): Expression {
  try {
    return schemaGrammar(JSON.parse(text));
  } catch (error) {
    if (error instanceof RangeError) throw unsupported("the schema", "less nesting", text);
    throw error;
  }
}

function cacheOf(tokenizer: Tokenizer): TokenizerCache {
  const known = caches.get(tokenizer);
  if (known !== undefined) return known;
  const masks = buildTokenTrie(tokenizer).then((trie) => new TokenMasks(trie));
  const cache: TokenizerCache = { masks, compiled: new Map() };
  caches.set(tokenizer, cache);
  return cache;
}

/** The schema as JSON, which is its name in the cache and free of anything JSON cannot say. */
export function schemaText(schema: JsonSchema): string {
  const text = jsonText(isZod(schema) ? fromZod(schema) : schema);
  if (typeof schema === "function" || text === undefined) {
    throw invalidArgument("the schema", "a zod schema or a JSON schema", schema);
  }
  if (text.length <= maxCharacters) return text;
  throw invalidArgument("the schema", `at most ${maxCharacters} characters of JSON`, text.length);
}

function isZod(schema: unknown): schema is z.core.$ZodType {
  return typeof schema === "object" && schema !== null && "_zod" in schema;
}

/** What the schema takes in, because it is what will parse the text. */
function fromZod(schema: z.core.$ZodType): unknown {
  try {
    return z.toJSONSchema(schema, { io: "input" });
  } catch (error) {
    const reason = reasonOf(error);
    throw new AirError(
      "AIR_ERR_UNSUPPORTED",
      `expected a zod schema that JSON Schema can express for the schema but received "${reason}"`,
      { cause: error },
    );
  }
}

/** Undefined for what JSON cannot say at all. */
function jsonText(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    const reason = reasonOf(error);
    throw new AirError("AIR_ERR_ARGUMENT", `expected plain JSON for the schema but received "${reason}"`, {
      cause: error,
    });
  }
}
