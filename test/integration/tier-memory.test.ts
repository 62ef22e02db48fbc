import { describe, expect, test, vi } from "vitest";

import { AirError } from "../../lib/errors/air-error.js";
import { planModel } from "../../lib/index.js";
import type { AirRuntime } from "../../lib/tiers/air-runtime.js";
import type { AirRuntimeExtras } from "../../lib/tiers/runtime-types.js";
import type { AirConfig } from "../../lib/tiers/config.js";
import type { SensorReading } from "../../lib/tiers/sensors.js";
import { createDeferred } from "../../lib/util/deferred.js";
import { FakeAddon } from "../support/fake-native.js";
import {
  asUser,
  calm,
  createRuntime,
  easyPrompt,
  hardPrompt,
  largeFile,
  smallFile,
  twoTiers,
  until,
} from "../support/tier-runtime.js";

const options = { maxTokens: 12 };
const long = { maxTokens: 400, ignoreEos: true };

/** A runtime whose loads and unloads are noted, such as "load small". */
function observed(events: string[], config: AirConfig, extras: AirRuntimeExtras = {}): Promise<AirRuntime> {
  return createRuntime(config, {
    ...extras,
    onEvent: (event) => {
      if (event.kind !== "throttle") events.push(`${event.kind} ${event.tier}`);
    },
  });
}

describe("memory of tiers", () => {
  const idle = { idleUnloadSeconds: 0.05 };

  test("is given back when nobody asks for a while, and taken again when somebody does", async () => {
    const events: string[] = [];
    await using runtime = await observed(events, twoTiers(idle));
    const first = await runtime.generate(asUser(easyPrompt), options).result;
    await until(() => events.length === 2);
    expect(runtime.stats.tiers["small"]).toMatchObject({ isLoaded: false, unloads: 1 });
    const second = await runtime.generate(asUser(easyPrompt), options).result;
    expect(second.text).toBe(first.text);
    expect(events).toEqual(["load small", "unload small", "load small"]);
  });

  test("is not given back while a request runs, however long", async () => {
    const events: string[] = [];
    await using runtime = await observed(events, twoTiers({ idleUnloadSeconds: 0.001 }));
    const { tokens } = await runtime.generate(asUser(easyPrompt), long).result;
    expect(tokens).toHaveLength(400);
    await until(() => events.length === 2);
    expect(events).toEqual(["load small", "unload small"]);
  });

  test("is given back by a tier that was loaded ahead, or for a request that went away", async () => {
    const events: string[] = [];
    await using runtime = await observed(events, twoTiers(idle, { preload: true }));
    await until(() => events.includes("unload small"));
    const abort = new AbortController();
    const reply = runtime.generate(asUser(hardPrompt), { signal: abort.signal });
    await until(() => runtime.stats.tiers["large"]?.active === 1);
    abort.abort();
    await expect(reply.result).rejects.toMatchObject({ code: "AIR_ERR_CANCELLED" });
    await until(() => events.includes("unload large"));
    expect(events).toEqual(["load small", "unload small", "load large", "unload large"]);
  });

  test("stays taken where idle tiers are to be kept, or for longer than timers know", async () => {
    for (const idleUnloadSeconds of [0, 1e7]) {
      const events: string[] = [];
      await using runtime = await observed(events, twoTiers({ idleUnloadSeconds }));
      await runtime.generate(asUser(easyPrompt), options).result;
      await new Promise((resolve) => setTimeout(resolve, 60));
      expect(events).toEqual(["load small"]);
    }
  });

  test("is given back on demand: now, after the last request, or after the load", async () => {
    const events: string[] = [];
    await using runtime = await observed(events, twoTiers());
    runtime.unload("small"); // it is not there, and may be loaded all the same
    await runtime.load("small");
    runtime.unload("small");
    expect(events).toEqual(["load small", "unload small"]);
    const reply = runtime.generate(asUser(easyPrompt), { maxTokens: 50, ignoreEos: true });
    await until(() => runtime.stats.tiers["small"]?.isLoaded === true);
    runtime.unload("small");
    expect(events).toHaveLength(3);
    expect((await reply.result).tokens).toHaveLength(50);
    expect(events).toEqual(["load small", "unload small", "load small", "unload small"]);
    const loading = runtime.load("large");
    runtime.unload("large");
    await loading;
    expect(events.slice(4)).toEqual(["load large", "unload large"]);
    expect(() => {
      runtime.unload("medium");
    }).toThrow(expect.objectContaining({ code: "AIR_ERR_ARGUMENT" }) as Error);
    await expect(runtime.load("medium")).rejects.toMatchObject({ code: "AIR_ERR_ARGUMENT" });
  });

  /** A budget for either model and not for both. */
  async function either(): Promise<number> {
    const plans = [];
    for (const file of [smallFile, largeFile])
      plans.push(await planModel(file, { contextTokens: 512, threads: 1 }));
    return Math.max(...plans.map(({ totalBytes, processBytes }) => totalBytes - processBytes)) + 1;
  }

  test("goes from an idle tier to the one that needs it", async () => {
    const events: string[] = [];
    await using runtime = await observed(events, { ...twoTiers(), memory: await either() });
    for (const prompt of [easyPrompt, hardPrompt]) await runtime.generate(asUser(prompt), options).result;
    await runtime.generate(asUser(easyPrompt), { ...options, tier: "small" }).result;
    const moves = ["load small", "unload small", "load large", "unload large", "load small"];
    expect(events).toEqual(moves);
  });

  test("is not taken from a tier that is busy, which answers in place of the other", async () => {
    const events: string[] = [];
    await using runtime = await observed(events, { ...twoTiers(), memory: await either() });
    const first = runtime.generate(asUser(easyPrompt), long);
    await until(() => runtime.stats.tiers["small"]?.isLoaded === true);
    const { tier, attempts } = await runtime.generate(asUser(hardPrompt), options).result;
    expect(tier).toBe("small");
    expect(attempts).toMatchObject([
      { tier: "large", outcome: "failed", reason: "AIR_ERR_MEMORY" },
      { tier: "small", outcome: "answered", reason: "unavailable" },
    ]);
    await expect(runtime.generate(asUser(hardPrompt), { tier: "large" }).result).rejects.toMatchObject({
      code: "AIR_ERR_MEMORY",
      message: expect.stringMatching(/^expected .* for tier large but received less/) as string,
    });
    expect((await first.result).tokens).toHaveLength(400);
    expect(events).toEqual(["load small"]);
  });

  test.each(["AIR_ERR_MEMORY", "AIR_ERR_OUT_OF_MEMORY"] as const)(
    "is taken from idle tiers when a load meets %s without a budget",
    async (code) => {
      const addon = new FakeAddon();
      const loadModel = addon.loadModel.bind(addon);
      // There is memory for one model at a time.
      vi.spyOn(addon, "loadModel").mockImplementation(async (...args) => {
        if (addon.controls.openHandles() === 0) return loadModel(...args);
        throw new AirError(code, "expected memory for a model but received none");
      });
      const events: string[] = [];
      await using runtime = await observed(events, twoTiers(), { addon });
      await runtime.load("small");
      const { tier } = await runtime.generate(asUser(hardPrompt), options).result;
      expect(tier).toBe("large");
      expect(events).toEqual(["load small", "unload small", "load large"]);
      const gate = createDeferred<undefined>();
      addon.controls.gate = gate.promise.then(() => undefined);
      const busy = runtime.generate(asUser(hardPrompt), { maxTokens: 60, ignoreEos: true, tier: "large" });
      await until(() => runtime.stats.tiers["large"]?.active === 1);
      await expect(runtime.load("small")).rejects.toMatchObject({ code });
      gate.resolve(undefined);
      expect((await busy.result).tokens).toHaveLength(60);
    },
  );

  test("counts what kvTokens take", async () => {
    const memory = await either();
    await using plain = await createRuntime({ ...twoTiers(), memory });
    await plain.load("large");
    await using runtime = await createRuntime({ ...twoTiers({}, {}, { kvTokens: 4096 }), memory });
    await expect(runtime.load("large")).rejects.toMatchObject({ code: "AIR_ERR_MEMORY" });
  });

  test("is given back by idle tiers when the machine runs short of it, and the largest tier closes", async () => {
    let reading: SensorReading = calm;
    const governor = { intervalMs: 50 };
    const events: string[] = [];
    await using runtime = await observed(
      events,
      { ...twoTiers({ preload: true }), governor },
      { sensors: { read: () => reading } },
    );
    expect((await runtime.route(asUser(hardPrompt))).decision.name).toBe("large");
    reading = { ...calm, memory: 0.95 };
    await until(() => events.includes("unload large"));
    expect(events.slice(2).sort()).toEqual(["unload large", "unload small"]);
    const { decision } = await runtime.route(asUser(hardPrompt));
    expect([decision.name, decision.reason]).toEqual(["small", "memory"]);
    expect(runtime.stats.pressure.memory).toMatchObject({ value: 0.95, tiersDown: 1 });
  });
});
