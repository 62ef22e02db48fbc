import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import {
  measureSpeculation,
  type SpeculationBenchOptions,
} from "../../../lib/benchmark/speculation-bench.js";
import { loadModel, type Model, type SpeculationOptions } from "../../../lib/index.js";
import { FakeAddon } from "../../support/fake-native.js";

const chatModel = fileURLToPath(new URL("../../../models/air-tiny-chat-q4_0.gguf", import.meta.url));
const draftModel = fileURLToPath(new URL("../../../models/air-tiny-chat-draft-q8_0.gguf", import.meta.url));

const twoAhead: SpeculationOptions = { proposers: ["draft-model"], maxDraftTokens: 2, adaptive: false };

describe("measureSpeculation", () => {
  let model: Model;

  beforeEach(async () => {
    model = await loadModel(chatModel, { addon: new FakeAddon(), draft: draftModel });
  });

  afterEach(() => {
    model.close();
  });

  function measure(options: Partial<SpeculationBenchOptions>) {
    return measureSpeculation(model, {
      prompts: ["one", "two"],
      settings: [{ name: "two ahead", speculation: twoAhead }],
      rounds: 2,
      generate: { maxTokens: 9, ignoreEos: true },
      ...options,
    });
  }

  test("times every token after the first of every round", async () => {
    const [measurement] = await measure({});
    expect(measurement).toMatchObject({ name: "two ahead", differentTexts: 0 });
    expect(measurement?.speedup.median).toBeGreaterThan(0);
    expect(measurement?.targetOnly.tokensPerSecond).toBeGreaterThan(0);
    expect(measurement?.cycles).toBeGreaterThan(0);
  });

  test("runs prompts in turns and turns the order around", async () => {
    const runs: string[] = [];
    const createSession = model.createSession.bind(model);
    model.createSession = () => {
      const session = createSession();
      const generate = session.generate.bind(session);
      session.generate = (prompt, options) => {
        runs.push(`${prompt as string} ${options?.speculation === "off" ? "off" : "on"}`);
        return generate(prompt, options);
      };
      return session;
    };
    await measure({});
    expect(runs).toEqual([
      ...["one off", "one on"], // to warm up
      ...["one off", "one on", "two on", "two off"],
      ...["one on", "one off", "two off", "two on"],
    ]);
  });

  test("counts texts that differ from target-only generation", async () => {
    const generate = { maxTokens: 9, ignoreEos: true, temperature: 1 }; // a random seed each
    const [measurement] = await measure({ generate });
    expect(measurement?.differentTexts).toBe(4);
  });

  test("leaves the first tokens out of the time where asked to", async () => {
    const [measurement] = await measure({ skipTokens: 8 });
    expect(measurement?.speculative.tokensPerSecond).toBe(0); // all nine are skipped or start the clock
  });

  test("has both models read prompts first where asked to, and times the first token too", async () => {
    const options = { prompts: ["word ".repeat(100)], rounds: 1 };
    // Nine tokens in drafts of two and the token after them. Without its K/V the first one comes from the prompt's step.
    expect((await measure(options))[0]).toMatchObject({ drafted: 5, cycles: 3, differentTexts: 0 });
    const [measurement] = await measure({ ...options, readsPromptsFirst: true });
    expect(measurement).toMatchObject({ drafted: 6, cycles: 3, differentTexts: 0 });
  });

  test("reports progress up to the end", async () => {
    const parts: number[] = [];
    await measure({ onProgress: (part) => parts.push(part) });
    expect(parts).toEqual([0.25, 0.5, 0.75, 1]);
  });
});
