import { describe, expect, test } from "vitest";
import { z } from "zod";

import { compileJsonSchema, type JsonSchema } from "../../../lib/constraint/json-schema.js";
import type { CompiledConstraint } from "../../../lib/decoding/constraint.js";
import type { ErrorCode } from "../../../lib/errors/air-error.js";
import type { Tokenizer } from "../../../lib/model/tokenizer.js";
import { uniform } from "../../../lib/util/rng.js";
import { anAirError, allowedTokens, passes, randomTokens, textOf } from "../../support/constraint-walk.js";
import { isValid } from "../../support/schema-check.js";
import { schemaCases } from "./schema-cases.js";
import { chat, smallTokenizer, vocabularies } from "./vocabularies.js";

const longWalk = 40;
const hopelessWalk = 600;

/** The document at the end of a random walk, which heads for the end once it is long. */
function randomDocument(compiled: CompiledConstraint, tokenizer: Tokenizer, seed: number): string {
  const constraint = compiled.start();
  const tokens: number[] = [];
  const ends = tokenizer.endOfGenerationIds;
  const isEnding = (token: number): boolean =>
    ends.includes(token) || /^[@."}\]]+$/.test(Buffer.from(tokenizer.tokenBytes(token)).toString());
  while (tokens.length < hopelessWalk) {
    const allowed = allowedTokens(constraint, tokenizer);
    expect(allowed, `after ${textOf(tokenizer, tokens)}`).not.toHaveLength(0);
    const ending = tokens.length > longWalk ? allowed.filter(isEnding) : [];
    const options = ending.length > 0 ? ending : allowed;
    const token = options[Math.floor(uniform(seed, tokens.length, "draft") * options.length)] ?? NaN;
    constraint.accept(token);
    if (ends.includes(token)) return textOf(tokenizer, tokens);
    tokens.push(token);
  }
  return expect.fail(`expected an end after ${textOf(tokenizer, tokens)}`);
}

describe.each(vocabularies)("compileJsonSchema with %s vocabulary", (_, tokenizer) => {
  const [end = NaN] = tokenizer.endOfGenerationIds;

  test.each(schemaCases)("lets valid documents through, and no others: $name", async (schemaCase) => {
    const compiled = await compileJsonSchema(schemaCase.schema, tokenizer);
    let draws = 0;
    const isReached = (text: string): readonly boolean[] =>
      Array.from({ length: 3 }, () => {
        const tokens = randomTokens(tokenizer, text, () => uniform(7, draws++, "draft"));
        return passes(compiled.start(), tokenizer, [...tokens, end]);
      });
    for (const text of schemaCase.valid) {
      expect(isValid(schemaCase.schema, JSON.parse(text)), text).toBe(true);
      expect(isReached(text), text).toEqual([true, true, true]);
    }
    for (const text of schemaCase.invalid) expect(isReached(text), text).toEqual([false, false, false]);
  });

  test.each(schemaCases)("ends random walks in valid documents: $name", async ({ schema }) => {
    const compiled = await compileJsonSchema(schema, tokenizer);
    for (let seed = 0; seed < 8; seed += 1) {
      const text = randomDocument(compiled, tokenizer, seed);
      expect(isValid(schema, JSON.parse(text)), text).toBe(true);
    }
  });
});

describe("compileJsonSchema with zod", () => {
  const Tree = z.object({
    value: z.number(),
    get children() {
      return z.array(Tree).max(2);
    },
  });
  const schemas: Readonly<Record<string, z.ZodType>> = {
    "an object": z.strictObject({
      id: z.int(),
      name: z.string().min(1).max(12),
      score: z.number().positive().max(1).optional(),
      note: z.string().nullable(),
      kind: z.enum(["x", "y"]),
    }),
    "a discriminated union": z.discriminatedUnion("type", [
      z.object({ type: z.literal("a"), n: z.int().min(3).max(9) }),
      z.object({ type: z.literal("b"), flags: z.array(z.boolean()).length(2) }),
    ]),
    formats: z.tuple([z.email(), z.uuid(), z.iso.datetime(), z.iso.date(), z.ipv4(), z.iso.time()]),
    "text rules": z
      .string()
      .startsWith("a")
      .endsWith("z")
      .regex(/^[^A-Z]*$/)
      .max(20),
    records: z.object({
      all: z.record(z.enum(["p", "q"]), z.int()),
      some: z.record(z.string().max(3), z.null()),
    }),
    "an intersection": z.intersection(
      z.object({ a: z.string().max(3) }),
      z.object({ b: z.int().multipleOf(7) }),
    ),
    "defaults and transforms": z.object({
      n: z.number().default(3),
      s: z.string().transform((s) => s.length),
    }),
    recursion: Tree,
  };

  test.each(Object.entries(schemas))("gives documents that %s parses", async (_, schema) => {
    const compiled = await compileJsonSchema(schema, chat);
    for (let seed = 0; seed < 8; seed += 1) {
      const text = randomDocument(compiled, chat, seed);
      expect(schema.safeParse(JSON.parse(text)).error, text).toBeUndefined();
    }
  });

  test("refuses what JSON cannot say", async () => {
    await expect(compileJsonSchema(z.object({ at: z.date() }), chat)).rejects.toEqual(
      anAirError("AIR_ERR_UNSUPPORTED", /Date cannot be represented/),
    );
  });
});

describe("compileJsonSchema", () => {
  test("compiles a schema once for each tokenizer", async () => {
    const schema = { type: "string", maxLength: 9 };
    const compiled = await compileJsonSchema(schema, chat);
    expect(await compileJsonSchema({ ...schema }, chat)).toBe(compiled);
    expect(await compileJsonSchema(schema, smallTokenizer([]))).not.toBe(compiled);
  });

  test("forgets the schema that was used longest ago", async () => {
    const tokenizer = smallTokenizer([]);
    const compile = (value: number): Promise<CompiledConstraint> =>
      compileJsonSchema({ const: value }, tokenizer);
    const [first, second] = [await compile(0), await compile(1)];
    for (let value = 2; value < 64; value += 1) await compile(value);
    expect(await compile(0)).toBe(first);
    await compile(64);
    expect(await compile(0)).toBe(first);
    expect(await compile(1)).not.toBe(second);
  });

  test("compiles at the same time as others", async () => {
    const tokenizer = smallTokenizer([]);
    const schemas: JsonSchema[] = [{ const: 1 }, { const: 2 }, z.null()];
    const compiled = await Promise.all(schemas.map((schema) => compileJsonSchema(schema, tokenizer)));
    const first = compiled.map((one) => textOf(tokenizer, allowedTokens(one.start(), tokenizer)));
    expect(first).toEqual(["1", "2", "n"]);
  });

  const cyclic: Record<string, unknown> = {};
  cyclic["self"] = cyclic;
  const nested = JSON.parse('{"items":'.repeat(200) + "{}" + "}".repeat(200)) as Readonly<
    Record<string, unknown>
  >;

  test.each<readonly [string, unknown, ErrorCode, RegExp]>([
    ["no schema", 7, "AIR_ERR_ARGUMENT", /expected an object, true or false for schema but received 7/],
    ["nothing", undefined, "AIR_ERR_ARGUMENT", /a zod schema or a JSON schema/],
    ["a function", () => 1, "AIR_ERR_ARGUMENT", /a zod schema or a JSON schema/],
    ["a cycle", cyclic, "AIR_ERR_ARGUMENT", /plain JSON/],
    ["a large schema", { const: "x".repeat(2 ** 18) }, "AIR_ERR_ARGUMENT", /characters of JSON/],
    ["deep nesting", nested, "AIR_ERR_UNSUPPORTED", /at most 100 levels/],
    ["an unknown keyword", { items: { minimun: 3 } }, "AIR_ERR_UNSUPPORTED", /"minimun" in schema.items/],
    ["uniqueItems", { uniqueItems: true }, "AIR_ERR_UNSUPPORTED", /one of \$ref, additionalProperties/],
    ["a negation", { not: { type: "string" } }, "AIR_ERR_UNSUPPORTED", /"not" in schema/],
    ["an unknown type", { type: "text" }, "AIR_ERR_ARGUMENT", /"type" in schema but received "text"/],
    ["a reference to nothing", { $ref: "#/$defs/x" }, "AIR_ERR_ARGUMENT", /"\$ref" in schema/],
    ["a reference outside", { $ref: "other.json" }, "AIR_ERR_UNSUPPORTED", /within the schema/],
    ["a reference to itself", { $ref: "#" }, "AIR_ERR_ARGUMENT", /does not lead back to itself/],
    ["no options", { anyOf: [] }, "AIR_ERR_ARGUMENT", /some document satisfies/],
    [
      "no end",
      { properties: { a: { $ref: "#" } }, required: ["a"] },
      "AIR_ERR_ARGUMENT",
      /some document satisfies/,
    ],
    ["lengths that cross", { minLength: 3, maxLength: 2 }, "AIR_ERR_ARGUMENT", /some document satisfies/],
    [
      "bounds that cross",
      { type: "integer", minimum: 3, maximum: 2 },
      "AIR_ERR_ARGUMENT",
      /some document satisfies/,
    ],
    ["counts that cross", { minItems: 3, maxItems: 2 }, "AIR_ERR_ARGUMENT", /some document satisfies/],
    ["a count that is none", { maxLength: -1 }, "AIR_ERR_ARGUMENT", /"maxLength" in schema but received -1/],
    ["a bound that is none", { minimum: "3" }, "AIR_ERR_ARGUMENT", /a number for "minimum"/],
    ["properties that are none", { properties: [] }, "AIR_ERR_ARGUMENT", /an object for "properties"/],
    [
      "an unknown format",
      { format: "hostname" },
      "AIR_ERR_UNSUPPORTED",
      /"format" in schema but received "hostname"/,
    ],
    ["a broken pattern", { pattern: "(" }, "AIR_ERR_ARGUMENT", /a regular expression for pattern/],
    ["a look-behind", { pattern: "^(?<=a)b$" }, "AIR_ERR_UNSUPPORTED", /assertions/],
    ["a back reference", { pattern: "(a)\\1" }, "AIR_ERR_UNSUPPORTED", /character 5/],
    ["an exploding pattern", { pattern: "^(a|b)*a(a|b){30}$" }, "AIR_ERR_UNSUPPORTED", /automaton states/],
    ["a pattern of many parts", { pattern: "^(.{1000}){1000}$" }, "AIR_ERR_UNSUPPORTED", /parts/],
    [
      "a pattern of deep groups",
      { pattern: "(?:".repeat(9000) + ")".repeat(9000) },
      "AIR_ERR_UNSUPPORTED",
      /nesting/,
    ],
    ["a large array", { maxItems: 1e6 }, "AIR_ERR_UNSUPPORTED", /grammar/],
    ["a fraction of multiples", { multipleOf: 0.5 }, "AIR_ERR_UNSUPPORTED", /an integer up to 1000/],
    [
      "options that overlap",
      { oneOf: [{ minimum: 3 }, { type: "integer" }] },
      "AIR_ERR_UNSUPPORTED",
      /anyOf/,
    ],
    ["enum beside others", { enum: ["a"], maxLength: 3 }, "AIR_ERR_UNSUPPORTED", /"maxLength" in schema/],
    [
      "closed objects merged",
      { allOf: [{ properties: { a: {} }, additionalProperties: false }, { properties: { b: {} } }] },
      "AIR_ERR_UNSUPPORTED",
      /"additionalProperties" in schema/,
    ],
  ])("refuses %s", async (_, schema, code, message) => {
    await expect(compileJsonSchema(schema as JsonSchema, chat)).rejects.toEqual(anAirError(code, message));
  });

  test("refuses a vocabulary that cannot spell every text", async () => {
    await expect(compileJsonSchema(true, smallTokenizer([], [0xe4]))).rejects.toEqual(
      anAirError("AIR_ERR_UNSUPPORTED", /none for 0xe4/),
    );
  });
});
