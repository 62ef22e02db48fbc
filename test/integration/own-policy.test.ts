import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { heavyHitters } from "../../examples/heavy-hitters.js";
import { type EvictionPolicy, type EvictionState, loadModel } from "../../lib/index.js";

const file = fileURLToPath(new URL("../../models/air-tiny-chat-q4_0.gguf", import.meta.url));
const pageTokens = 32;

/** A policy that keeps what it was shown and what it answered. */
function recorded(policy: EvictionPolicy) {
  const calls: { readonly state: EvictionState; readonly dropPages: readonly number[] }[] = [];
  const recording: EvictionPolicy = {
    ...policy,
    decide: (state) => {
      const decision = policy.decide(state);
      const kept = { ...state, pagePositions: [...state.pagePositions], pageMass: state.pageMass.slice() };
      calls.push({ state: kept, dropPages: decision.dropPages });
      return decision;
    },
  };
  return { recording, calls };
}

describe("a policy of the user's", () => {
  test("keeps the pages that are looked at, within its budget", async () => {
    const budget = 256;
    const { recording, calls } = recorded(heavyHitters(budget));
    using model = await loadModel(file, {
      contextTokens: 4096,
      kvTokens: budget + 128,
      maxBatchTokens: 128,
      policy: recording,
    });
    using session = model.createSession();
    const options = { maxTokens: 900, temperature: 1, seed: 1, ignoreEos: true, speculation: "off" } as const;
    const { tokens } = await session.generate("Once there was a program that", options).result;
    expect(tokens).toHaveLength(900);
    expect(model.info.policy).toBe("heavy hitters 256");

    for (const { state } of calls) expect(state.cachedTokens).toBeLessThanOrEqual(budget + pageTokens);
    const drops = calls.filter(({ dropPages }) => dropPages.length > 0);
    expect(drops.length).toBeGreaterThan(10);
    for (const { state, dropPages } of drops) {
      expect(state.pageMass).toHaveLength(state.pagePositions.length);
      expect(state.pageMass.reduce((sum, mass) => sum + mass, 0)).toBeCloseTo(1, 4);
      const dropped = Math.max(...dropPages.map((page) => state.pageMass[page] ?? NaN));
      const others = [...state.pageMass.keys()].slice(1, Math.floor(state.cachedTokens / pageTokens) - 2);
      const kept = others
        .filter((page) => !dropPages.includes(page))
        .map((page) => state.pageMass[page] ?? NaN);
      expect(Math.min(...kept)).toBeGreaterThanOrEqual(dropped);
    }
    // No window: pages far apart in the text stay side by side.
    const last = calls.at(-1)?.state.pagePositions ?? [];
    expect(last[0]).toBe(0);
    expect(last.some((position, order) => order > 1 && position > (last[order - 1] ?? 0) + pageTokens)).toBe(
      true,
    );
  });

  test("and a window exclude each other", async () => {
    await expect(loadModel(file, { policy: heavyHitters(256), window: 252 })).rejects.toMatchObject({
      code: "AIR_ERR_ARGUMENT",
      message: expect.stringContaining("window") as string,
    });
  });
});
