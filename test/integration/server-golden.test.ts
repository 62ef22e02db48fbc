/** The golden prompt on real models: one that is healthy, one whose memory went bad, and one that stays bad. */
import { describe, expect, test } from "vitest";

import { loadAddon } from "../../lib/native/load.js";
import type { NativeAddon, NativeRunner } from "../../lib/native/native.js";
import { GoldenBaselines } from "../../lib/server/golden-baselines.js";
import { GoldenCheck } from "../../lib/server/golden-check.js";
import { AirRuntime } from "../../lib/tiers/air-runtime.js";
import { asUser, calmSensors, easyPrompt, smallFile } from "../support/tier-runtime.js";

const settings = { prompt: "One, two, three,", maxTokens: 16, timeoutMs: 20_000 };

/** The real addon; runners count up, and logits of those that `isBad` are turned around. */
function spoilingAddon(isBad: (runner: number) => boolean): NativeAddon {
  const addon = loadAddon();
  let runners = 0;
  const spoil = (runner: NativeRunner, index: number): NativeRunner =>
    new Proxy(runner, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (name !== "forward") return typeof value === "function" ? (value.bind(target) as unknown) : value;
        return async (...args: Parameters<NativeRunner["forward"]>) => {
          const stats = await target.forward(...args);
          const { logits } = args[1];
          if (isBad(index)) for (let id = 0; id < logits.length; id += 1) logits[id] = -(logits[id] ?? 0);
          return stats;
        };
      },
    });
  return { ...addon, createRunner: (...args) => spoil(addon.createRunner(...args), (runners += 1)) };
}

async function start(isBad: (runner: number) => boolean) {
  const runtime = await AirRuntime.create(
    {
      tiers: [
        {
          ...{ name: "tiny", model: smallFile, contextTokens: 512, threads: 1, preload: true },
          ...{ maxConcurrent: 2, idleUnloadSeconds: 0 },
        },
      ],
    },
    { sensors: calmSensors, addon: spoilingAddon(isBad) },
  );
  const check = new GoldenCheck(runtime, await GoldenBaselines.open(undefined), settings);
  return { runtime, check, report: () => check.reports["tiny"] };
}

/** What the runtime answers eight clients at once. */
function ask(runtime: AirRuntime) {
  return Promise.all(
    Array.from({ length: 8 }, () => runtime.generate(asUser(easyPrompt), { maxTokens: 12 }).result),
  );
}

describe("the golden prompt on a real model", () => {
  test("finds nothing while requests come and go, and leaves no pages behind", async () => {
    const { check, report, ...started } = await start(() => false);
    await using runtime = started.runtime;
    for (let round = 0; round < 5; round += 1) await Promise.all([check.run(), ask(runtime)]);
    expect(report()).toMatchObject({ state: "healthy", checks: 5, divergences: 0, reloads: 0 });
    const stats = runtime.model("tiny")?.stats;
    expect(stats?.freePages).toBe(stats?.usablePages);
  });

  test("has a model loaded again whose memory went bad; requests meanwhile wait, and are answered well", async () => {
    let goesBad = false;
    const { check, report, ...started } = await start((runner) => goesBad && runner === 1);
    await using runtime = started.runtime;
    const [expected] = await ask(runtime);
    await check.run();
    goesBad = true;
    const checking = check.run();
    while (report()?.state !== "reloading") await new Promise((resolve) => setTimeout(resolve, 1));
    const answers = await ask(runtime);
    await checking;
    expect(report()).toMatchObject({ state: "healthy", divergences: 1, reloads: 1 });
    expect(check.problems).toEqual([]);
    expect(runtime.stats.tiers["tiny"]?.loads).toBe(2);
    for (const { text } of answers) expect(text).toBe(expected?.text);
  });

  test("gives a model up that is bad after it was loaded again", async () => {
    let isBad = false;
    const { check, report, ...started } = await start(() => isBad);
    await using runtime = started.runtime;
    await check.run();
    isBad = true;
    await check.run();
    await check.run();
    expect(report()).toMatchObject({ state: "unhealthy", divergences: 2, reloads: 1 });
    expect(runtime.stats.tiers["tiny"]?.loads).toBe(2);
  });
});

test("a reload waits for what is under way, for as long as it is told to", async () => {
  await using runtime = (await start(() => false)).runtime;
  const options = { maxTokens: 400, temperature: 1.2, seed: 4, ignoreEos: true };
  const patient = runtime.generate(asUser(easyPrompt), options).result;
  await new Promise((resolve) => setTimeout(resolve, 30));
  await runtime.reload("tiny", 60_000);
  const { text } = await patient;
  const cut = runtime.generate(asUser(easyPrompt), options).result;
  const caught = cut.catch((error: unknown) => error);
  await new Promise((resolve) => setTimeout(resolve, 30));
  await runtime.reload("tiny", 1);
  const end = await caught;
  if (end instanceof Error) expect(end).toMatchObject({ code: "AIR_ERR_CLOSED" });
  else expect(end).toMatchObject({ text }); // it was faster
  expect((await runtime.generate(asUser(easyPrompt), options).result).text).toBe(text);
  await expect(runtime.reload("other")).rejects.toMatchObject({ code: "AIR_ERR_ARGUMENT" });
});
