import { Readable } from "node:stream";

import { describe, expect, test, vi } from "vitest";

import type { GeneratedChunk } from "../../../lib/runtime/generation.js";
import { createFakeModel } from "../../support/fake-model.js";

const prompt = "the quick brown fox jumps over the lazy dog";
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("aborting a generation", () => {
  test("rejects result and loop with AIR_ERR_CANCELLED and the reason as cause", async () => {
    const { model } = createFakeModel();
    const controller = new AbortController();
    const reason = { why: "the user left" };
    const generation = model.createSession().generate(prompt, { signal: controller.signal, ignoreEos: true });
    const chunks: GeneratedChunk[] = [];
    const loop = (async () => {
      for await (const chunk of generation) {
        chunks.push(chunk);
        if (chunks.length === 3) controller.abort(reason);
      }
    })();
    await expect(loop).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED", cause: reason });
    await expect(generation.result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED", cause: reason });
    expect(chunks.length).toBeGreaterThanOrEqual(3);
    expect(chunks.length).toBeLessThan(10);
  });

  test("stops a prefill in the middle of a chunk when it is alone", async () => {
    const { model, addon } = createFakeModel({ maxBatchTokens: 16 });
    addon.controls.gate = new Promise(() => undefined);
    const controller = new AbortController();
    const { result } = model.createSession().generate(prompt, { signal: controller.signal });
    await tick();
    controller.abort();
    await expect(result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    expect(addon.controls.cancels).toBe(1);
  });

  test("ends a prefill that shares its steps between chunks, without cancelling the step", async () => {
    const { model, addon } = createFakeModel({ maxBatchTokens: 16 });
    const controller = new AbortController();
    const other = model.createSession().generate(prompt, { maxTokens: 10, ignoreEos: true });
    await other[Symbol.asyncIterator]().next();
    addon.controls.batches.length = 0;
    const { result } = model.createSession().generate(prompt + prompt, { signal: controller.signal });
    const promptSteps = (): number =>
      addon.controls.batches.filter((batch) => batch.tokens.length > 1).length;
    while (promptSteps() < 2) await tick();
    controller.abort();
    await expect(result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    expect(promptSteps()).toBeLessThan(5);
    expect((await other.result).tokens).toHaveLength(10);
    expect(addon.controls.cancels).toBe(0);
  });

  test("rejects at once when the signal was aborted before", async () => {
    const { model, addon } = createFakeModel();
    const session = model.createSession();
    const { result } = session.generate(prompt, { signal: AbortSignal.abort("too late") });
    await expect(result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED", cause: "too late" });
    expect(addon.controls.batches).toHaveLength(0);
    expect((await session.generate(prompt, { maxTokens: 2, ignoreEos: true }).result).tokens).toHaveLength(2);
  });

  test("leaves no listener on the signal when the generation ends by itself", async () => {
    const { model } = createFakeModel();
    const { signal } = new AbortController();
    const add = vi.spyOn(signal, "addEventListener");
    const remove = vi.spyOn(signal, "removeEventListener");
    await model.createSession().generate(prompt, { signal, maxTokens: 2 }).result;
    expect(add).toHaveBeenCalledTimes(1);
    expect(remove).toHaveBeenCalledWith("abort", add.mock.calls[0]?.[1]);
  });
});

describe("leaving the loop early", () => {
  test("stops quietly, resolves the result with abort and frees the session", async () => {
    const { model } = createFakeModel();
    const session = model.createSession();
    const generation = session.generate(prompt, { ignoreEos: true });
    const read: GeneratedChunk[] = [];
    for await (const chunk of generation) {
      read.push(chunk);
      if (read.length === 2) break;
    }
    const again = session.generate(prompt, { maxTokens: 2, ignoreEos: true });
    const result = await generation.result;
    expect(result.finishReason).toBe("abort");
    expect(result.tokens.slice(0, 2)).toEqual(read.flatMap((chunk) => chunk.tokens));
    expect((await again.result).tokens).toEqual(result.tokens.slice(0, 2));
  });

  test("stops a generation whose reader leaves before the first chunk", async () => {
    const { model, addon } = createFakeModel();
    const generation = model.createSession().generate(prompt, { ignoreEos: true });
    await generation[Symbol.asyncIterator]().return?.();
    expect(await generation.result).toMatchObject({ finishReason: "abort", tokens: [] });
    expect(addon.controls.batches).toHaveLength(0);
  });

  test("stops a prefill at once when the stream that waits for its text is destroyed", async () => {
    const { model, addon } = createFakeModel();
    addon.controls.gate = new Promise(() => undefined);
    const generation = model.createSession().generate(prompt, { ignoreEos: true });
    const stream = Readable.from(generation);
    stream.read(0); // asks for the first chunk
    await tick();
    stream.destroy();
    expect(await generation.result).toMatchObject({ finishReason: "abort", tokens: [] });
    expect(addon.controls.cancels).toBe(1);
  });

  test("refuses a second loop over the same generation with AIR_ERR_BUSY", async () => {
    const { model } = createFakeModel();
    const generation = model.createSession().generate(prompt, { maxTokens: 2 });
    generation[Symbol.asyncIterator]();
    expect(() => generation[Symbol.asyncIterator]()).toThrow(
      expect.objectContaining({ code: "AIR_ERR_BUSY" }),
    );
    await generation.result;
  });
});

describe("failures that nobody looks at", () => {
  test("cause no unhandled rejection", async () => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    try {
      const { model, addon } = createFakeModel();
      addon.controls.poisonedTokens.add(2);
      model.createSession().generate(" ");
      model.createSession().generate(prompt, { signal: AbortSignal.abort() });
      const closing = model.createSession();
      closing.generate(prompt);
      closing.close();
      for (let turn = 0; turn < 5; turn += 1) await tick();
      model.close();
      for (let turn = 0; turn < 5; turn += 1) await tick();
      expect(unhandled).not.toHaveBeenCalled();
    } finally {
      process.off("unhandledRejection", unhandled);
    }
  });
});

describe("200 generate and abort cycles", () => {
  test("leave every page free", async () => {
    const { model } = createFakeModel({ kvTokens: 128, maxBatchTokens: 16 });
    for (let cycle = 0; cycle < 200; cycle += 1) {
      using session = model.createSession();
      const controller = new AbortController();
      const generation = session.generate(prompt, { signal: controller.signal, ignoreEos: true });
      for (let turn = 0; turn < cycle % 12; turn += 1) await tick();
      controller.abort();
      await expect(generation.result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    }
    const { freePages, usablePages } = model.stats;
    expect(freePages).toBe(usablePages);
  });
});
