import { describe, expect, test, vi } from "vitest";

import type { RoutedOptions } from "../../lib/tiers/runtime-types.js";
import type { ComplexityClassifier } from "../../lib/routing/complexity.js";
import { FakeAddon } from "../support/fake-native.js";
import {
  asUser,
  createRuntime,
  easyPrompt,
  hardPrompt,
  twoTiers,
  until,
  wordClassifier,
} from "../support/tier-runtime.js";

const long: RoutedOptions = { maxTokens: 400, ignoreEos: true };
const idle = { active: 0, waiting: 0, failures: 0 };

/** A classifier that takes its time. */
function slowClassifier(): {
  readonly classifier: ComplexityClassifier & { thresholds: number[] };
  finish: () => void;
} {
  let finish = (): void => undefined;
  const wait = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const classify: ComplexityClassifier["classify"] = async (prompt) => {
    await wait;
    return wordClassifier.classify(prompt);
  };
  return { classifier: { kind: "slow", thresholds: [0.5], classify }, finish };
}

describe("aborting a request", () => {
  test("before it begins", async () => {
    await using runtime = await createRuntime(twoTiers());
    const signal = AbortSignal.abort("never mind");
    const reply = runtime.generate(asUser(easyPrompt), { ...long, signal });
    await expect(reply.result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED", cause: "never mind" });
    expect(runtime.stats).toMatchObject({ failed: 1, tiers: { small: { ...idle, requests: 0, loads: 0 } } });
  });

  test("while it waits for its turn", async () => {
    await using runtime = await createRuntime(twoTiers({ maxConcurrent: 1 }));
    const first = runtime.generate(asUser(easyPrompt), long);
    const abort = new AbortController();
    const second = runtime.generate(asUser(easyPrompt), { ...long, tier: "small", signal: abort.signal });
    await until(() => runtime.stats.tiers["small"]?.waiting === 1);
    abort.abort("enough");
    await expect(second.result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED", cause: "enough" });
    expect(runtime.stats.tiers["small"]).toMatchObject({ active: 1, waiting: 0 });
    expect((await first.result).tokens).toHaveLength(400);
    expect(runtime.stats.tiers["small"]).toMatchObject(idle);
  });

  test("while the model is loaded, which goes on for others", async () => {
    await using runtime = await createRuntime(twoTiers());
    const abort = new AbortController();
    const first = runtime.generate(asUser(hardPrompt), { ...long, signal: abort.signal });
    const second = runtime.generate(asUser(hardPrompt), { maxTokens: 3 });
    await until(() => runtime.stats.tiers["large"]?.active === 2);
    expect(runtime.stats.tiers["large"]?.isLoaded).toBe(false);
    abort.abort();
    await expect(first.result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    expect((await second.result).tier).toBe("large");
    expect(runtime.stats.tiers["large"]).toMatchObject({ ...idle, loads: 1 });
  });

  test("while text comes", async () => {
    await using runtime = await createRuntime(twoTiers());
    const abort = new AbortController();
    const reply = runtime.generate(asUser(easyPrompt), { ...long, signal: abort.signal });
    const texts: string[] = [];
    const reading = (async () => {
      for await (const { text } of reply) {
        texts.push(text);
        abort.abort();
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    await expect(reply.result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    expect(texts.length).toBeGreaterThan(0);
    expect(runtime.stats.tiers["small"]).toMatchObject(idle);
    const model = await runtime.generate(asUser(easyPrompt), { maxTokens: 2 }).result;
    expect(model.tokens.length).toBeGreaterThan(0);
  });
});

describe("leaving a reply", () => {
  test("in the middle of the text ends the answer and the turn", async () => {
    await using runtime = await createRuntime(twoTiers());
    const reply = runtime.generate(asUser(easyPrompt), long);
    let text = "";
    for await (const chunk of reply) {
      text += chunk.text;
      if (text.length > 5) break;
    }
    const result = await reply.result;
    expect(result).toMatchObject({ finishReason: "abort", tier: "small" });
    expect(result.text.startsWith(text)).toBe(true);
    expect(result.tokens.length).toBeLessThan(400);
    expect(runtime.stats.tiers["small"]).toMatchObject(idle);
    expect(runtime.stats).toMatchObject({ answered: 1, failed: 0 });
  });

  test.each(["waits", "is classified"])("while it %s ends it with AIR_ERR_CANCELLED", async (when) => {
    const { classifier, finish } = slowClassifier();
    await using runtime = await createRuntime(
      twoTiers({ maxConcurrent: 1 }),
      when === "waits" ? {} : { classifier },
    );
    const first = runtime.generate(asUser(easyPrompt), long);
    const second = runtime.generate(asUser(easyPrompt), { ...long, tier: "small" });
    if (when === "waits") await until(() => runtime.stats.tiers["small"]?.waiting === 1);
    const chunks = second[Symbol.asyncIterator]();
    const left = chunks.return?.();
    finish();
    await left;
    await expect(second.result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    expect((await first.result).tokens).toHaveLength(400);
    expect(runtime.stats.tiers["small"]).toMatchObject(idle);
  });

  test("that nobody reads lets it run to its end", async () => {
    await using runtime = await createRuntime(twoTiers());
    expect(
      (await runtime.generate(asUser(easyPrompt), { maxTokens: 9, ignoreEos: true }).result).tokens,
    ).toHaveLength(9);
  });
});

describe("closing a runtime", () => {
  test("ends all requests with AIR_ERR_CLOSED, wherever they are", async () => {
    const runtime = await createRuntime(twoTiers({ maxConcurrent: 2 }));
    const running = [1, 2].map(() => runtime.generate(asUser(easyPrompt), { ...long, tier: "small" }));
    await until(() => runtime.stats.tiers["small"]?.isLoaded === true);
    const waiting = [1, 2].map(() => runtime.generate(asUser(easyPrompt), { ...long, tier: "small" }));
    await until(() => runtime.stats.tiers["small"]?.waiting === 2);
    const loading = runtime.generate(asUser(hardPrompt), { ...long, tier: "large" });
    await until(() => runtime.stats.tiers["large"]?.active === 1);
    const fresh = runtime.generate(asUser(easyPrompt), long); // not even decided
    const closing = runtime.close();
    for (const reply of [...running, ...waiting, loading, fresh]) {
      await expect(reply.result).rejects.toMatchObject({ code: "AIR_ERR_CLOSED" });
    }
    await closing;
    await runtime.close();
    expect(runtime.stats).toMatchObject({ requests: 6, answered: 0, failed: 6 });
    for (const tier of Object.values(runtime.stats.tiers))
      expect(tier).toMatchObject({ ...idle, isLoaded: false });
  });

  test("ends a request that is still classified", async () => {
    const { classifier, finish } = slowClassifier();
    const runtime = await createRuntime(twoTiers(), { classifier });
    const reply = runtime.generate(asUser(easyPrompt), long);
    const closing = runtime.close();
    finish();
    await expect(reply.result).rejects.toMatchObject({ code: "AIR_ERR_CLOSED" });
    await expect(reply.decision).rejects.toMatchObject({ code: "AIR_ERR_CLOSED" });
    await closing;
  });

  test("ends loads, those that wait for others included, and loads nothing more", async () => {
    const events: string[] = [];
    const addon = new FakeAddon();
    const loadModel = vi.spyOn(addon, "loadModel");
    const runtime = await createRuntime(twoTiers(), { addon, onEvent: (event) => events.push(event.kind) });
    const loads = ["large", "small"].map((tier) => runtime.load(tier));
    const closing = runtime.close();
    for (const load of loads) await expect(load).rejects.toMatchObject({ code: "AIR_ERR_CLOSED" });
    await closing;
    expect(events).toEqual([]);
    expect(loadModel.mock.calls.length).toBeLessThanOrEqual(1);
    await until(() => addon.controls.openHandles() === 0);
  });

  test("leaves a runtime that refuses everything, and is still able to count", async () => {
    const runtime = await createRuntime(twoTiers());
    await runtime.close();
    expect(() => runtime.generate(asUser(easyPrompt))).toThrow(
      expect.objectContaining({ code: "AIR_ERR_CLOSED" }) as Error,
    );
    await expect(runtime.route(asUser(easyPrompt))).rejects.toMatchObject({ code: "AIR_ERR_CLOSED" });
    await expect(runtime.load("small")).rejects.toMatchObject({ code: "AIR_ERR_CLOSED" });
    runtime.unload("small");
    expect(runtime.stats.requests).toBe(0);
  });
});
