import { describe, expect, test } from "vitest";
import { z } from "zod";

import type { GenerateOptions } from "../../../lib/index.js";
import { createFakeModel } from "../../support/fake-model.js";

// The fake vocabulary has no quotes or braces: what can be said is numbers.
const numbers = z.int().min(100).max(99_999);

async function generate(options: GenerateOptions) {
  const { model } = createFakeModel({ draft: true });
  using session = model.createSession();
  return await session.generate("how many?", { maxTokens: 40, ...options }).result;
}

describe("generate with a schema", () => {
  test("is refused where the vocabulary lacks bytes that JSON needs", async () => {
    await expect(generate({ schema: numbers })).rejects.toMatchObject({ code: "AIR_ERR_UNSUPPORTED" });
  });

  test("refuses what is no schema, and ignoreEos beside one, at once", () => {
    const { model } = createFakeModel();
    using session = model.createSession();
    const argument = expect.objectContaining({ code: "AIR_ERR_ARGUMENT" }) as unknown;
    expect(() => session.generate("a", { schema: [] as never })).toThrow(argument);
    expect(() => session.generate("a", { schema: { type: "string" }, ignoreEos: true })).toThrow(argument);
  });

  test("rejects for a keyword that is not supported, and leaves the session usable", async () => {
    const { model } = createFakeModel();
    using session = model.createSession();
    const schema = { type: "array", uniqueItems: true };
    await expect(session.generate("a", { schema }).result).rejects.toMatchObject({
      code: "AIR_ERR_UNSUPPORTED",
    });
    expect(
      (await session.generate("a", { maxTokens: 3, ignoreEos: true }).result).tokens.length,
    ).toBeGreaterThan(0);
  });
});
