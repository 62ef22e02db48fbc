import { inspect } from "node:util";

import { describe, expect, test } from "vitest";

import { isOtherModel } from "../../../../lib/tiers/remote/completion-chunk.js";
import { RemoteTier } from "../../../../lib/tiers/remote/remote-tier.js";
import type { RemoteTierOptions } from "../../../../lib/tiers/remote/remote-options.js";
import type { GenerateOptions } from "../../../../lib/runtime/options.js";
import { refusal, streamHead } from "../../../support/openai-stub.js";
import { useStub } from "./tier-under-test.js";

const { stub, makeTier } = useStub();

describe("options of a remote tier", () => {
  const base = { name: "cloud", url: "https://host/v1", model: "large" };

  test.each<readonly [Record<string, unknown>, string]>([
    [{ name: "" }, 'expected a name for name but received ""'],
    [{ model: 3 }, "expected the name of a model for model but received 3"],
    [
      { url: "host/v1" },
      'expected an http or https URL such as https://host/v1 for url but received "host/v1"',
    ],
    [{ url: "file:///v1" }, 'for url but received "file:///v1"'],
    [{ timeoutMs: 0 }, "expected an integer from 1 to 300000 for timeoutMs but received 0"],
    [{ idleTimeoutMs: 300_001 }, "for idleTimeoutMs but received 300001"],
    [{ retries: 11 }, "expected an integer from 0 to 10 for retries but received 11"],
    [{ retryBaseMs: -1 }, "for retryBaseMs but received -1"],
    [{ breaker: { failures: 0 } }, "for breaker.failures but received 0"],
    [
      { breaker: { fails: 1 } },
      'expected only documented option names for remote tier options but received "fails"',
    ],
    [{ key: "x" }, 'expected only documented option names for remote tier options but received "key"'],
    [{ headers: { "x y": "1" } }, "for headers but received an object"],
    [{ headers: { Host: "other" } }, "for headers but received an object"],
    [{ maxTokensField: "tokens" }, 'expected "max_tokens" or "max_completion_tokens" for maxTokensField'],
  ])("%j is AIR_ERR_ARGUMENT", (options, message) => {
    const make = () => new RemoteTier({ ...base, ...options });
    expect(make).toThrow(expect.objectContaining({ code: "AIR_ERR_ARGUMENT" }));
    expect(make).toThrow(message);
  });

  test.each<readonly [string, Record<string, unknown>]>([
    ["a password in the url", { url: "https://user:hunter2@host/v1" }],
    ["a password in no url", { url: "user:hunter2@host/v1" }],
    ["a key in the url", { url: "https://host/v1?key=hunter2" }],
    ["a key in place of its variable", { keyEnv: "sk-hunter2" }],
    ["a key that looks like a name", { keyEnv: "hf_hunter2" }],
    ["a key among the headers", { headers: { Authorization: "Bearer hunter2" } }],
    ["a key of another cloud among the headers", { headers: { "api-key": "hunter2" } }],
  ])("%s is refused without being repeated", (_, options) => {
    const make = () => new RemoteTier({ ...base, ...options });
    expect(make).toThrow(expect.objectContaining({ code: "AIR_ERR_ARGUMENT" }));
    expect(make).not.toThrow(/hunter2/);
  });
});

describe("the key", () => {
  test("comes from the environment, and goes nowhere but into its header", async () => {
    const { tier } = makeTier(
      { keyEnv: "CLOUD_KEY", headers: { "x-team": "a" } },
      { variables: { CLOUD_KEY: " s3cret\n" } },
    );
    await tier.start("Hi").result;
    await tier.probe();
    for (const { headers } of stub().requests) {
      expect(headers).toMatchObject({ authorization: "Bearer s3cret", "x-team": "a" });
    }
    expect(JSON.stringify([tier, tier.stats(), stub().requests.map(({ body }) => body)])).not.toContain(
      "s3cret",
    );
  });

  test("goes alone into another header", async () => {
    const { tier } = makeTier(
      { keyEnv: "CLOUD_KEY", keyHeader: "api-key" },
      { variables: { CLOUD_KEY: "s3cret" } },
    );
    await tier.start("Hi").result;
    expect(stub().requests[0]?.headers).toMatchObject({ "api-key": "s3cret" });
    expect(stub().requests[0]?.headers).not.toHaveProperty("authorization");
  });

  test.each([
    ["absent", undefined],
    ["empty", " "],
    ["broken over lines", "s3\ncret"],
  ])("one that is %s keeps anything from being sent", async (_, key) => {
    const { tier } = makeTier({ keyEnv: "CLOUD_KEY" }, { variables: { CLOUD_KEY: key } });
    expect(tier.isReady).toBe(false);
    await expect(tier.start("Hi").result).rejects.toMatchObject({
      code: "AIR_ERR_REMOTE",
      message: expect.stringContaining("the environment variable CLOUD_KEY"),
    });
    expect(stub().connections).toBe(0);
    expect(tier.stats().breaker.failures).toBe(0);
  });

  test("is read again for each request", () => {
    const variables: Record<string, string> = {};
    const { tier } = makeTier({ keyEnv: "CLOUD_KEY" }, { variables });
    expect(tier.isReady).toBe(false);
    variables["CLOUD_KEY"] = "s3cret";
    expect(tier.isReady).toBe(true);
  });

  test("and the prompt are in no error, even if the endpoint repeats them", async () => {
    const { tier } = makeTier({ keyEnv: "CLOUD_KEY" }, { variables: { CLOUD_KEY: "s3cret" } });
    stub().script(["cut"], refusal(500), [streamHead, { send: "data: {tell me s3cret\n\n" }, "cut"]);
    const failed: unknown = await tier.start("tell me").result.catch((thrown: unknown) => thrown);
    expect(failed).toMatchObject({ progress: { attempts: 3 } });
    expect(inspect(failed, { depth: 20, showHidden: true })).not.toMatch(/s3cret|tell me/);
    const echo = { message: "bad key s3cret for: tell me", code: "s3cret", type: "tell me" };
    for (const body of [{ error: echo }, echo]) {
      stub().script(refusal(401, body));
      const error: unknown = await tier.start("tell me").result.catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "AIR_ERR_REMOTE" });
      expect(`${String(error)} ${JSON.stringify(error)}`).not.toMatch(/s3cret|tell me/);
    }
  });
});

describe("what a request says", () => {
  const bodyOf = async (options: GenerateOptions, more: Partial<RemoteTierOptions> = {}) => {
    const { tier } = makeTier(more);
    await tier.start(
      [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hi" },
      ],
      options,
    ).result;
    return stub().requests.at(-1)?.body;
  };

  test("names the options as endpoints do", async () => {
    const body = await bodyOf({
      maxTokens: 5,
      temperature: 0.5,
      topK: 40,
      topP: 0.9,
      minP: 0.1,
      repetitionPenalty: 1.1,
      presencePenalty: 0.2,
      frequencyPenalty: 0.3,
      seed: 7,
      logitBias: { 1: -Infinity, 2: 3 },
      ignoreEos: true,
      speculation: "off",
      penaltyLastN: 3,
    });
    expect(body).toEqual({
      model: "large",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hi" },
      ],
      max_tokens: 5,
      temperature: 0.5,
      top_k: 40,
      top_p: 0.9,
      min_p: 0.1,
      repetition_penalty: 1.1,
      presence_penalty: 0.2,
      frequency_penalty: 0.3,
      seed: 7,
      logit_bias: { 1: -100, 2: 3 },
      ignore_eos: true,
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  test("leaves out what was not given", async () => {
    const body = await bodyOf({});
    expect(Object.keys(body ?? {}).sort()).toEqual([
      "messages",
      "model",
      "stream",
      "stream_options",
      "temperature",
    ]);
  });

  test("follows the tier's options", async () => {
    const extraBody = { chat_template_kwargs: { enable_thinking: false }, model: "other" };
    const body = await bodyOf(
      { maxTokens: 5 },
      { usage: false, maxTokensField: "max_completion_tokens", extraBody },
    );
    expect(body).toMatchObject({
      model: "large",
      max_completion_tokens: 5,
      chat_template_kwargs: { enable_thinking: false },
    });
    expect(body).not.toHaveProperty("max_tokens");
    expect(body).not.toHaveProperty("stream_options");
  });

  test("takes a base URL with and without a slash at its end", async () => {
    const { tier } = makeTier({ url: `${stub().url}/` });
    await tier.start("Hi").result;
    expect(stub().requests[0]?.path).toBe("/v1/chat/completions");
  });

  test("takes any document for the schema true, and refuses the schema false", async () => {
    stub().script([
      { head: 200, headers: { "content-type": "application/json" } },
      { send: '{"choices":[{"message":{"content":"3"}}]}' },
      "end",
    ]);
    expect(await bodyOf({ schema: true })).toMatchObject({
      response_format: { json_schema: { schema: {} } },
    });
    const { tier } = makeTier();
    expect(() => tier.start("Hi", { schema: false })).toThrow(
      expect.objectContaining({ code: "AIR_ERR_ARGUMENT" }),
    );
  });

  test.each<readonly [string, unknown, GenerateOptions]>([
    ["an empty prompt", "", {}],
    ["no messages", [], {}],
    ["a message of no role", [{ role: "tool", content: "x" }], {}],
    ["control tokens in the prompt", "Hi", { special: true }],
    ["an option out of range", "Hi", { topP: 2 }],
  ])("%s is AIR_ERR_ARGUMENT, and sends nothing", (_, input, options) => {
    const { tier } = makeTier();
    expect(() => tier.start(input as string, options)).toThrow(
      expect.objectContaining({ code: "AIR_ERR_ARGUMENT" }),
    );
    expect(stub().connections).toBe(0);
    expect(tier.stats().requests).toBe(0);
  });
});

describe("isOtherModel()", () => {
  test.each([
    ["gpt-4o", "gpt-4o", false],
    ["gpt-4o", "gpt-4o-2024-08-06", false],
    ["gpt-4", "gpt-4-0613", false],
    ["claude", "claude-20240620", false],
    ["Llama-3", "meta/llama-3", false],
    ["gpt-4", "gpt-4o", true],
    ["gpt-4o", "gpt-4o-mini", true],
    ["gpt-4o", "gpt-4", true],
    ["gpt-4o", "", true],
  ])("asked for %s, answered by %s: %s", (asked, answered, expected) => {
    expect(isOtherModel(asked, answered)).toBe(expected);
  });
});
