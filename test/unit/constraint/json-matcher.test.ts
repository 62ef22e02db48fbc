import { describe, expect, test } from "vitest";

import { compileJsonSchema } from "../../../lib/constraint/json-schema.js";
import { uniform } from "../../../lib/util/rng.js";
import { anAirError, allowedTokens, passes } from "../../support/constraint-walk.js";
import { chat, smallTokenizer } from "./vocabularies.js";

const ids = (text: string): number[] => [...chat.encode(text, { bos: false })];
const [end = NaN] = chat.endOfGenerationIds;

/** Few documents, so that all are known: {"a":X} and [X,X], with or without spaces. */
const finite = {
  anyOf: [
    { type: "object", properties: { a: { enum: [1, 12, "1", true] } }, required: ["a"] },
    { type: "array", items: { enum: [1, 12, null] }, minItems: 2, maxItems: 2 },
    { const: "ab" },
  ],
};
const finiteDocuments = [
  ...["1", "12", '"1"', "true"].flatMap((value) => [`{"a":${value}}`, `{"a": ${value}}`]),
  ...["1", "12", "null"].flatMap((x) => ["1", "12", "null"].flatMap((y) => [`[${x},${y}]`, `[${x}, ${y}]`])),
  '"ab"',
];

describe("JsonMatcher", () => {
  test("allows exactly the tokens that some document begins with", async () => {
    const pieces = [
      '{"',
      '":',
      '": ',
      "12",
      "1}",
      '"}',
      ", ",
      ",1",
      "null",
      "ll,",
      "1]",
      '"a',
      'a"',
      "[1",
      "[1,",
      "xy",
    ];
    const tokenizer = smallTokenizer([...pieces, '{"a":1', '{"a": true}', "2, 12]", "[[", "}}"]);
    const compiled = await compileJsonSchema(finite, tokenizer);
    const prefixes = new Set(finiteDocuments.flatMap((text) => Array.from(text, (_, i) => text.slice(0, i))));
    for (const prefix of [...prefixes, ...finiteDocuments]) {
      const constraint = compiled.start();
      for (const byte of Buffer.from(prefix))
        constraint.accept(tokenizer.encode(String.fromCharCode(byte))[0] ?? NaN);
      const expected = Array.from({ length: tokenizer.vocabSize }, (_, token) => token).filter((token) =>
        tokenizer.endOfGenerationIds.includes(token)
          ? finiteDocuments.includes(prefix)
          : finiteDocuments.some((text) =>
              text.startsWith(prefix + Buffer.from(tokenizer.tokenBytes(token)).toString()),
            ),
      );
      expect(allowedTokens(constraint, tokenizer), prefix).toEqual(expected);
    }
  });

  test("accepts exactly what its mask allows", async () => {
    const constraint = (
      await compileJsonSchema({ type: "array", items: { type: "number", minimum: 3 } }, chat)
    ).start();
    for (const token of ids("[12.5, 7")) {
      const allowed = new Set(allowedTokens(constraint, chat));
      for (let other = 0; other < chat.vocabSize; other += 1) {
        if (allowed.has(other)) {
          constraint.accept(other);
          constraint.rollback(1);
        } else {
          expect(() => {
            constraint.accept(other);
          }).toThrow(anAirError("AIR_ERR_ARGUMENT", /the constraint allows/));
        }
      }
      constraint.accept(token);
    }
  });

  test("has the same mask after a rollback as before", async () => {
    const constraint = (await compileJsonSchema(true, chat)).start();
    const masks: number[][] = [];
    for (let length = 0; length < 120 && !constraint.complete; length += 1) {
      const allowed = allowedTokens(constraint, chat);
      masks.push(allowed);
      const going = allowed.filter((token) => token !== end);
      constraint.accept(going[Math.floor(uniform(3, length, "draft") * going.length)] ?? NaN);
    }
    while (masks.length > 0) {
      const count = Math.min(masks.length, 1 + (masks.length % 5));
      constraint.rollback(count);
      expect(allowedTokens(constraint, chat)).toEqual(masks[masks.length - count]);
      masks.length -= count;
    }
  });

  test("goes another way after a rollback", async () => {
    const constraint = (await compileJsonSchema({ enum: ["one", "two"] }, chat)).start();
    const draft = ids('"one"');
    expect(passes(constraint, chat, [...draft, end])).toBe(true);
    constraint.rollback(draft.length + 1);
    expect(passes(constraint, chat, [...ids('"two"'), end])).toBe(true);
  });

  test("refuses to take back more than was accepted, and what is no count", async () => {
    const constraint = (await compileJsonSchema(true, chat)).start();
    constraint.accept(ids("[")[0] ?? NaN);
    for (const count of [2, -1, 0.5, NaN]) {
      expect(() => {
        constraint.rollback(count);
      }).toThrow(anAirError("AIR_ERR_ARGUMENT", /from 0 to 1 for the tokens/));
    }
    constraint.rollback(0);
    constraint.rollback(1);
  });

  test("lets the text end exactly where a document is whole", async () => {
    const constraint = (await compileJsonSchema({ type: "integer", minimum: 1, maximum: 25 }, chat)).start();
    expect(allowedTokens(constraint, chat)).not.toContain(end);
    constraint.accept(ids("2")[0] ?? NaN);
    expect([allowedTokens(constraint, chat).includes(end), constraint.complete]).toEqual([true, false]);
    constraint.accept(ids("5")[0] ?? NaN);
    expect([allowedTokens(constraint, chat), constraint.complete]).toEqual([[end], true]);
    constraint.rollback(1);
    constraint.accept(end);
    expect([allowedTokens(constraint, chat), constraint.complete]).toEqual([[end], true]);
  });

  test("never allows control tokens, and leaves the state when it refuses one", async () => {
    const constraint = (await compileJsonSchema({ type: "string" }, chat)).start();
    constraint.accept(ids('"')[0] ?? NaN);
    const before = allowedTokens(constraint, chat);
    expect(before.filter((token) => chat.isControl(token))).toEqual([]);
    expect(() => {
      constraint.accept(chat.bosId ?? NaN);
    }).toThrow(anAirError("AIR_ERR_ARGUMENT", /the next token/));
    expect(allowedTokens(constraint, chat)).toEqual(before);
  });

  test("masks what a model pads its rows with, and keeps the logits of what it allows", async () => {
    const constraint = (await compileJsonSchema({ const: null }, chat)).start();
    const row = new Float32Array(chat.vocabSize + 5).fill(0.25);
    constraint.mask(row);
    const left = Array.from(row.entries()).filter(([, logit]) => logit !== -Infinity);
    expect(
      left
        .map(([token]) => Buffer.from(chat.tokenBytes(token)).toString())
        .every((text) => "null".startsWith(text)),
    ).toBe(true);
    expect(new Set(left.map(([, logit]) => logit))).toEqual(new Set([0.25]));
    expect(() => {
      constraint.mask(row.subarray(5 + 1));
    }).toThrow(anAirError("AIR_ERR_ARGUMENT", /at least 4096 values/));
  });

  test("keeps matchers of one schema apart", async () => {
    const compiled = await compileJsonSchema({ enum: ["one", "two"] }, chat);
    const [first, second] = [compiled.start(), compiled.start()];
    expect(passes(first, chat, ids('"one"'))).toBe(true);
    expect(passes(second, chat, ids('"two"'))).toBe(true);
  });

  test("gives up on a schema that can be read in too many ways at once", async () => {
    const arrays = Array.from({ length: 12 }, (_, maxItems) => ({
      items: { $ref: "#" },
      maxItems: maxItems + 1,
    }));
    const constraint = (await compileJsonSchema({ anyOf: arrays }, chat)).start();
    const bracket = ids("[")[0] ?? NaN;
    const go = (): void => {
      for (let depth = 0; depth < 10; depth += 1) constraint.accept(bracket);
    };
    const tooMany = anAirError("AIR_ERR_UNSUPPORTED", /ways to read/);
    expect(go).toThrow(tooMany);
    const brackets = smallTokenizer(["[".repeat(16)]);
    const masked = (await compileJsonSchema({ anyOf: arrays }, brackets)).start();
    expect(() => {
      masked.mask(new Float32Array(brackets.vocabSize));
    }).toThrow(tooMany);
  });

  test("refuses work after close(), which may be called again", async () => {
    const constraint = (await compileJsonSchema(true, chat)).start();
    constraint.close();
    constraint.close();
    const closed = anAirError("AIR_ERR_CLOSED", /open constraint/);
    expect(() => {
      constraint.accept(1);
    }).toThrow(closed);
    expect(() => {
      constraint.rollback(0);
    }).toThrow(closed);
    expect(() => {
      constraint.mask(new Float32Array(chat.vocabSize));
    }).toThrow(closed);
    expect(() => constraint.complete).toThrow(closed);
  });
});
