/** Session files of the bundled chat model on the built addon. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type GenerateOptions, loadModel, type LoadModelOptions } from "../../lib/index.js";
import { createDice } from "../support/dice.js";
import { killSaves } from "../support/kill-mid-save.js";

const model = (name: string): string => fileURLToPath(new URL(`../../models/${name}.gguf`, import.meta.url));
const chatModel = model("air-tiny-chat-q4_0");
const prompt = "Write a story about a kettle, a lamp and the capital of France. ".repeat(12);
const options: GenerateOptions = { maxTokens: 24, temperature: 0.9, seed: 7, ignoreEos: true };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "air-session-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const settings: readonly (readonly [string, LoadModelOptions])[] = [
  ["int8", { kv: "int8" }],
  ["f16", { kv: "f16" }],
  ["int4", { kv: "int4" }],
  ["int8 in a window", { kv: "int8", window: 64, sinks: 4, contextTokens: 512 }],
];

describe.each(settings)("a session with %s K/V", (name, loadOptions) => {
  test("goes on from its file bit by bit, in another instance of the model", async () => {
    const file = join(folder, name);
    const logprobs = 5;
    using saving = await loadModel(chatModel, { contextTokens: 512, ...loadOptions });
    using session = saving.createSession();
    const start = await session.generate(prompt, options).result;
    await session.save(file);
    const text = `${prompt}${start.text} And then`;
    const expected = await session.generate(text, { ...options, logprobs }).result;

    using restoring = await loadModel(chatModel, { contextTokens: 512, ...loadOptions });
    using restored = restoring.createSession();
    await restored.restore(file);
    const actual = await restored.generate(text, { ...options, logprobs }).result;
    expect(actual.tokens).toEqual(expected.tokens);
    expect(actual.logprobs).toEqual(expected.logprobs);
    expect(actual.reusedTokens).toBe(expected.reusedTokens);
    expect(actual.reusedTokens).toBeGreaterThan(150);
  });
});

describe("a session file", () => {
  test("is refused by another model and with other settings", async () => {
    const file = join(folder, "foreign");
    using saving = await loadModel(chatModel, { contextTokens: 512 });
    using session = saving.createSession();
    await session.generate(prompt, options).result;
    await session.save(file);
    const refusals: readonly (readonly [string, LoadModelOptions, RegExp])[] = [
      ["air-tiny-large-q4_0", {}, /a session of this model/],
      ["air-tiny-chat-q4_0", { kv: "f16" }, /f16 keys.*int8 keys/],
      ["air-tiny-chat-q4_0", { kvValues: "f16" }, /f16 values.*int8 values/],
      ["air-tiny-chat-q4_0", { pageTokens: 64 }, /pages of 64.*pages of 32/],
      ["air-tiny-chat-q4_0", { window: 64 }, /window 64.*keep-all/],
    ];
    for (const [name, loadOptions, message] of refusals) {
      using other = await loadModel(model(name), { contextTokens: 512, ...loadOptions });
      using refusing = other.createSession();
      await expect(refusing.restore(file)).rejects.toMatchObject({ code: "AIR_ERR_SESSION_FILE" });
      await expect(refusing.restore(file)).rejects.toThrow(message);
      expect((await refusing.generate("What is 12 times 7?", { maxTokens: 4 }).result).tokens).not.toEqual(
        [],
      );
    }
  });

  test("is refused after any change of a byte", async () => {
    const file = join(folder, "damaged");
    using saving = await loadModel(chatModel, { contextTokens: 512 });
    using session = saving.createSession();
    await session.generate(prompt, options).result;
    await session.save(file);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const bytes = readFileSync(file);
    const dice = createDice(5);
    for (let change = 0; change < 100; change += 1) {
      const offset = dice(bytes.length);
      const changed = Buffer.from(bytes);
      changed[offset] = (changed[offset] ?? 0) ^ (1 + dice(255));
      writeFileSync(file, changed);
      await expect(session.restore(file)).rejects.toMatchObject({ code: "AIR_ERR_SESSION_FILE" });
    }
  });

  test("is whole or absent after its writer was killed", async () => {
    await killSaves(chatModel, 6);
  });
});
