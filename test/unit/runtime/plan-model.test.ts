import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { planModel } from "../../../lib/index.js";

const models = fileURLToPath(new URL("../../../models/", import.meta.url));
const chatModel = `${models}air-tiny-chat-q4_0.gguf`;
const draftModel = `${models}air-tiny-chat-draft-q8_0.gguf`;
const gib = 2 ** 30;

describe("planModel", () => {
  test("plans the context that loadModel() takes by default, from the header", async () => {
    const plan = await planModel(chatModel, { memoryBytes: gib });
    expect(plan).toMatchObject({ fits: true, availableBytes: gib, suggestions: [] });
    expect(plan.kvGroups.map(({ pages }) => pages)).toEqual([1024 / 32 + 1]);
    expect(plan.weightBytes).toBeGreaterThan(4e6);
    expect(plan.weightBytes).toBeLessThan(6e6);
    expect(plan.maxContext).toBeGreaterThan(100_000);
  });

  test("asks the system when no memory is named, and the bundled model fits any machine that tests run on", async () => {
    const plan = await planModel(chatModel);
    expect(plan.availableBytes).toBeGreaterThan(0);
    expect(plan.fits).toBe(true);
  });

  test("takes less with smaller types, a window and streaming heads", async () => {
    const kv = async (options: Parameters<typeof planModel>[1]) =>
      (await planModel(chatModel, { contextTokens: 8192, ...options })).kvBytes;
    const int8 = await kv({});
    expect((await kv({ kv: "f16" })) / int8).toBeCloseTo(64 / 34, 2);
    expect((await kv({ kv: "int4" })) / int8).toBeCloseTo(18 / 34, 2);
    expect((await kv({ window: 256 })) / int8).toBeLessThan(0.11);
    expect((await kv({ sequences: 3 })) / int8).toBeCloseTo(3, 1);
  });

  test("adds a draft model", async () => {
    const alone = await planModel(chatModel, { memoryBytes: gib });
    const plan = await planModel(chatModel, { memoryBytes: gib, draft: draftModel });
    expect(plan.draft?.weightBytes).toBeGreaterThan(500_000);
    expect(plan.totalBytes).toBeGreaterThan(alone.totalBytes + (plan.draft?.weightBytes ?? 0));
    expect(plan.maxContext).toBeLessThan(alone.maxContext);
  });

  test("refuses what makes no sense", async () => {
    await expect(planModel("nowhere.gguf")).rejects.toMatchObject({ code: "AIR_ERR_IO" });
    await expect(planModel(chatModel, { sinks: 4 })).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
      message: "expected a window beside them for sinks but received 4",
    });
    await expect(planModel(chatModel, { pageTokens: 20 })).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
    });
    await expect(planModel(chatModel, { kv: "int2" as "int4" })).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
    });
    await expect(planModel(chatModel, { heads: "nowhere.json" })).rejects.toMatchObject({
      code: "AIR_ERR_IO",
    });
  });
});
