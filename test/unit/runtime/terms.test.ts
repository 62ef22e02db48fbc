/** What generate() tells the engine about how a generation stands among the others. */
import { describe, expect, test } from "vitest";

import type { GenerateOptions } from "../../../lib/runtime/options.js";
import { createFakeModel } from "../../support/fake-model.js";

/** Generates from a prompt of its own with each of these options at once; indices in the order of the first tokens. */
async function order(options: readonly GenerateOptions[]): Promise<readonly number[]> {
  const { model } = createFakeModel({ maxBatchTokens: 16, kvTokens: 4096 });
  const order: number[] = [];
  await Promise.all(
    options.map(async (option, index) => {
      using session = model.createSession();
      const prompt = `${index} and some more words to go on with`;
      const generation = session.generate(prompt, { ...option, maxTokens: 1, ignoreEos: true });
      const chunks = generation[Symbol.asyncIterator]();
      await chunks.next();
      order.push(index);
    }),
  );
  model.close();
  return order;
}

describe("generate()", () => {
  test("hands on priorities and users", async () => {
    expect(await order([{}, {}, {}])).toEqual([0, 1, 2]);
    expect(await order([{}, { priority: -1 }, { priority: 3 }])).toEqual([2, 0, 1]);
    expect(await order([{ user: "a" }, { user: "a" }, { user: "b" }])).toEqual([0, 2, 1]);
  });

  test("ends with AIR_ERR_TIMEOUT after timeoutMs, and the session goes on", async () => {
    const { model, addon } = createFakeModel();
    using session = model.createSession();
    let open = (): void => undefined;
    addon.controls.gate = new Promise((resolve) => {
      open = () => {
        resolve();
      };
    });
    const { result } = session.generate("hello", { timeoutMs: 5 });
    setTimeout(open, 15);
    await expect(result).rejects.toMatchObject({
      code: "AIR_ERR_TIMEOUT",
      message: "expected an answer within its time but received the end of the time first",
    });
    delete addon.controls.gate;
    const generous = session.generate("hello", { maxTokens: 3, ignoreEos: true, timeoutMs: 60_000 });
    expect((await generous.result).tokens).toHaveLength(3);
    model.close();
  });
});
