import { describe, expect, test } from "vitest";

import type { GenerateOptions, SpeculationOptions } from "../../../lib/index.js";
import { createFakeModel } from "../../support/fake-model.js";

const prompts = ["what is this?", "abcabcabcabcabcab", "0123456789 0123456789", "a"];
const both = ["ngram", "draft-model"] as const;

async function generate(
  prompt: string,
  options: GenerateOptions,
  model = createFakeModel({ draft: true }).model,
) {
  using session = model.createSession();
  return await session.generate(prompt, { maxTokens: 60, ignoreEos: true, ...options }).result;
}

const plain = (prompt: string, options: GenerateOptions = {}) =>
  generate(prompt, { ...options, speculation: "off" });

describe("a speculating generation", () => {
  const lengths = [1, 2, 3, 4, 5, 6, 7, 8];
  const cases = both.flatMap((proposer) => lengths.map((maxDraftTokens) => ({ proposer, maxDraftTokens })));

  test.each(cases)("with $maxDraftTokens tokens of $proposer gives the greedy text", async (chosen) => {
    const { proposer, maxDraftTokens } = chosen;
    for (const prompt of prompts) {
      const speculation: SpeculationOptions = { proposers: [proposer], maxDraftTokens, adaptive: false };
      const [{ text, tokens, speculative }, expected] = await Promise.all([
        generate(prompt, { speculation }),
        plain(prompt),
      ]);
      expect({ text, tokens }).toEqual({ text: expected.text, tokens: expected.tokens });
      expect(speculative).toMatchObject({ proposer });
    }
  });

  test.each([0.5, 1, 3])(
    "gives a seed the text that it has without drafts, at temperature %d",
    async (temperature) => {
      for (const prompt of prompts) {
        const options = { temperature, seed: 3, topK: 20, minP: 0.01 };
        const speculation = { proposers: both, maxDraftTokens: 4, adaptive: false };
        const { tokens } = await generate(prompt, { ...options, speculation });
        expect(tokens).toEqual((await plain(prompt, options)).tokens);
      }
    },
  );

  test("marks as many tokens as were accepted", async () => {
    const { model } = createFakeModel({ draft: true });
    using session = model.createSession();
    const speculation = { proposers: both, maxDraftTokens: 4, adaptive: false };
    const reply = session.generate("abcabcabcabcabcab", { maxTokens: 60, ignoreEos: true, speculation });
    let marked = 0;
    for await (const { tokens, drafted } of reply) {
      if (drafted === undefined) continue;
      expect(drafted).toHaveLength(tokens.length);
      marked += drafted.filter(Boolean).length;
    }
    const { speculative } = await reply.result;
    expect(marked).toBeGreaterThan(0);
    expect(marked).toBe(speculative?.accepted);
  });

  test("gives the same with penalties, logit bias and log-probabilities", async () => {
    const options = {
      repetitionPenalty: 1.3,
      frequencyPenalty: 0.2,
      logitBias: { 5: 2, 9: -Infinity },
      logprobs: 3,
    };
    const speculation = { proposers: both, maxDraftTokens: 5, adaptive: false };
    const { tokens, logprobs } = await generate("abcabcabc", { ...options, speculation });
    const expected = await plain("abcabcabc", options);
    expect({ tokens, logprobs }).toEqual({ tokens: expected.tokens, logprobs: expected.logprobs });
  });

  test("repeats a seed's text under the rejection rule with fixed drafts", async () => {
    const speculation = {
      proposers: both,
      maxDraftTokens: 3,
      adaptive: false,
      acceptance: "rejection",
    } as const;
    const options = { temperature: 1, seed: 8, speculation };
    const first = await generate("what?", options);
    expect((await generate("what?", options)).tokens).toEqual(first.tokens);
    expect(first.speculative?.accepted).toBeGreaterThan(0);
  });

  test("ends at stop strings and maxTokens where they fall inside a draft", async () => {
    const { text, tokens } = await plain("what is this?");
    const speculation = { proposers: ["draft-model"], maxDraftTokens: 8, adaptive: false } as const;
    for (let maxTokens = 1; maxTokens < 20; maxTokens += 1) {
      const result = await generate("what is this?", { maxTokens, speculation });
      expect(result).toMatchObject({ tokens: tokens.slice(0, maxTokens), finishReason: "length" });
    }
    for (let at = 5; at < 25; at += 1) {
      const options = { stop: [text.slice(at, at + 2)] };
      const expected = await plain("what is this?", options);
      const result = await generate("what is this?", { ...options, speculation });
      expect(result).toMatchObject({ text: expected.text, finishReason: "stop" });
    }
  });

  test("ends at the model's own end inside a draft", async () => {
    const speculation = { proposers: ["draft-model"], maxDraftTokens: 8, adaptive: false } as const;
    for (const prompt of prompts) {
      const expected = await plain(prompt, { ignoreEos: false, maxTokens: 200 });
      const result = await generate(prompt, { ignoreEos: false, maxTokens: 200, speculation });
      expect(expected.finishReason).toBe("stop");
      expect(result).toMatchObject({ tokens: expected.tokens, finishReason: "stop" });
    }
  });

  test("reports what was drafted and accepted", async () => {
    const speculation = { proposers: ["draft-model"], maxDraftTokens: 4, adaptive: false } as const;
    const { speculative, tokens } = await generate("what is this?", { speculation });
    const { drafted = 0, accepted = 0, cycles = 0, acceptanceRate, meanAcceptanceLength } = speculative ?? {};
    expect(accepted).toBeGreaterThan(0);
    expect(drafted).toBeGreaterThan(accepted);
    expect(acceptanceRate).toBe(accepted / drafted);
    expect(meanAcceptanceLength).toBe(1 + accepted / cycles);
    expect(accepted + cycles).toBeGreaterThanOrEqual(tokens.length - 1);
  });

  test("says nothing about speculation where it is off", async () => {
    expect(await plain("what?")).not.toHaveProperty("speculative");
  });

  test("refuses the draft model of a model that has none", () => {
    const { model } = createFakeModel();
    using session = model.createSession();
    expect(() => session.generate("a", { speculation: { proposers: ["draft-model"] } })).toThrow(
      expect.objectContaining({ code: "AIR_ERR_ARGUMENT" }),
    );
  });
});

describe("sessions that speculate at once", () => {
  test("give each the text that it gives alone, and leave both pools whole", async () => {
    const { model } = createFakeModel({ draft: true, kvTokens: 1024 });
    const speculation = { proposers: both, maxDraftTokens: 4, adaptive: false };
    const results = await Promise.all(prompts.map((prompt) => generate(prompt, { speculation }, model)));
    for (const [index, prompt] of prompts.entries()) {
      expect(results[index]?.tokens).toEqual((await plain(prompt)).tokens);
    }
    expect(model.stats.freePages).toBe(model.stats.usablePages);
    expect(model.stats.draft?.freePages).toBe(model.stats.draft?.usablePages);
  });

  test("get on when neither arena holds all of them", async () => {
    const { model } = createFakeModel({ draft: true, kvTokens: 128 });
    const results = await Promise.all(prompts.map((prompt) => generate(prompt, {}, model)));
    for (const [index, prompt] of prompts.entries()) {
      expect(results[index]?.tokens).toEqual((await plain(prompt)).tokens);
    }
  });
});

describe("a draft model that fails", () => {
  test("is left out of the rest of the text, which says so", async () => {
    const { model, draftAddon } = createFakeModel({ draft: true });
    let forwards = 0;
    draftAddon.controls.beforeForward = () => {
      forwards += 1;
      if (forwards === 5) throw new Error("no more memory");
    };
    const speculation = { proposers: ["draft-model"], maxDraftTokens: 2, adaptive: false } as const;
    const { tokens, speculative } = await generate("what is this?", { speculation }, model);
    expect(tokens).toEqual((await plain("what is this?")).tokens);
    expect(speculative?.disabledReason).toBe("draft-model failed: no more memory");
  });
});

describe("aborting", () => {
  const speculation = { proposers: ["draft-model"], maxDraftTokens: 4, adaptive: false } as const;

  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9])("leaves both pools whole at forward %d", async (stopAt) => {
    const { model, addon, draftAddon } = createFakeModel({ draft: true });
    const controller = new AbortController();
    let forwards = 0;
    const count = (): void => {
      forwards += 1;
      if (forwards === stopAt) controller.abort();
    };
    addon.controls.beforeForward = count;
    draftAddon.controls.beforeForward = count;
    const session = model.createSession();
    const { signal } = controller;
    await expect(session.generate("what is this?", { signal, speculation }).result).rejects.toMatchObject({
      code: "AIR_ERR_CANCELLED",
    });
    // The session goes on as if nothing had happened.
    const { tokens } = await session.generate("what is this?", {
      maxTokens: 60,
      ignoreEos: true,
      speculation,
    }).result;
    expect(tokens).toEqual((await plain("what is this?")).tokens);
    session.close();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(model.stats.freePages).toBe(model.stats.usablePages);
    expect(model.stats.draft?.freePages).toBe(model.stats.draft?.usablePages);
    model.close();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([addon.controls.openHandles(), draftAddon.controls.openHandles()]).toEqual([0, 0]);
  });
});
