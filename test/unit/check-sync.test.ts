import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { errorCodes } from "../../lib/errors/codes.js";
import { configJsonSchema } from "../../lib/tiers/config.js";

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");

/** Every AIR_ERR_ name in a text, in order. */
const namesIn = (text: string) => [...text.matchAll(/AIR_ERR_[A-Z_]+/g)].map(([name]) => name);

const statusEnum = /enum class StatusCode \{([^}]*)\}/.exec(read("native/core/status.h"))?.[1] ?? "";
const nativeUnion = /export type NativeErrorCode =([^;]*);/.exec(read("lib/native/native.ts"))?.[1] ?? "";

describe("error codes", () => {
  test("native.ts lists exactly the codes of status.h, in its order", () => {
    expect(namesIn(statusEnum).length).toBeGreaterThan(5);
    expect(namesIn(nativeUnion)).toEqual(namesIn(statusEnum));
  });

  test("a status enumerator is named after its code", () => {
    const pairs = [...statusEnum.matchAll(/k(\w+),\s*\/\/ (AIR_ERR_[A-Z_]+)/g)];
    expect(pairs.length).toBe(namesIn(statusEnum).length);
    for (const [, enumerator = "", code] of pairs) {
      const words = enumerator.split(/(?=[A-Z])/).join("_");
      expect(`AIR_ERR_${words.toUpperCase()}`).toBe(code);
    }
  });

  test("status.cc names every enumerator by its code", () => {
    const source = read("native/core/status.cc");
    for (const name of namesIn(statusEnum)) expect(source).toContain(`"${name}"`);
  });

  test("the table of codes covers every native code", () => {
    expect(Object.keys(errorCodes)).toEqual(expect.arrayContaining(namesIn(nativeUnion)));
  });

  test("docs/errors.md explains exactly the codes of the table, with its meanings and remedies", () => {
    const docs = read("docs/errors.md");
    const sections = docs.split(/^## /m).slice(1);
    expect(sections.map((section) => section.split("\n", 1)[0])).toEqual(Object.keys(errorCodes));
    for (const [index, { meaning, remedy }] of Object.values(errorCodes).entries()) {
      const text = sections[index]?.replaceAll(/\s+/g, " ");
      expect(text).toContain(meaning);
      expect(text).toContain(remedy);
    }
  });
});

test("schemas/air.config.schema.json is what `air config schema` prints", () => {
  expect(JSON.parse(read("schemas/air.config.schema.json"))).toEqual(
    JSON.parse(JSON.stringify(configJsonSchema())),
  );
});
