import { describe, expect, test } from "vitest";

import { AirArgumentError } from "../../../lib/errors/air-error.js";
import { generateSchema, loadModelSchema, messagesSchema } from "../../../lib/runtime/options.js";
import { parseOptions } from "../../../lib/util/options.js";

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(AirArgumentError);
    return error instanceof AirArgumentError ? `${error.code}: ${error.message}` : "";
  }
  return "nothing was thrown";
}

describe("parseOptions with the options of generate()", () => {
  test.each<[object, string]>([
    [{ topP: 3 }, "expected a number from 0 to 1 for topP but received 3"],
    [{ minP: -0.1 }, "expected a number from 0 to 1 for minP but received -0.1"],
    [{ temperature: "hot" }, 'expected a number from 0 to 100 for temperature but received "hot"'],
    [{ temperature: NaN }, "expected a number from 0 to 100 for temperature but received NaN"],
    [{ topK: 1.5 }, "expected an integer of at least 0 for topK but received 1.5"],
    [{ maxTokens: 0 }, "expected an integer of at least 1 for maxTokens but received 0"],
    [{ maxTokens: null }, "expected an integer of at least 1 for maxTokens but received null"],
    [{ seed: -1 }, "expected an integer of at least 0 for seed but received -1"],
    [{ repetitionPenalty: 0 }, "expected a number from 0.01 to 100 for repetitionPenalty but received 0"],
    [{ stop: "end" }, 'expected an array of strings for stop but received "end"'],
    [{ stop: ["a", ""] }, 'expected a non-empty string for stop[1] but received ""'],
    [{ logitBias: { 7: NaN } }, "expected a number or -Infinity for logitBias.7 but received NaN"],
    [{ signal: {} }, "expected an AbortSignal for signal but received an object"],
    [{ logprobs: 101 }, "expected an integer from 0 to 100 for logprobs but received 101"],
    [{ priority: 101 }, "expected an integer from -100 to 100 for priority but received 101"],
    [{ priority: 0.5 }, "expected an integer from -100 to 100 for priority but received 0.5"],
    [{ user: 7 }, "expected a string for user but received 7"],
    [{ timeoutMs: 0 }, "expected an integer from 1 to 2147483647 for timeoutMs but received 0"],
    [
      { timeoutMs: 2 ** 31 },
      "expected an integer from 1 to 2147483647 for timeoutMs but received 2147483648",
    ],
    [{ ignoreEos: 1 }, "expected true or false for ignoreEos but received 1"],
    [{ top_p: 1 }, 'expected only documented option names for generate options but received "top_p"'],
  ])("refuses %j", (options, message) => {
    expect(messageOf(() => parseOptions(generateSchema, options, "generate options"))).toBe(
      `AIR_ERR_ARGUMENT: ${message}`,
    );
  });

  test("refuses what is no object", () => {
    expect(messageOf(() => parseOptions(generateSchema, 5, "generate options"))).toBe(
      "AIR_ERR_ARGUMENT: expected an object for generate options but received 5",
    );
  });

  test("fills in the documented defaults and takes undefined for absent", () => {
    expect(parseOptions(generateSchema, { topP: undefined }, "generate options")).toEqual({
      speculation: { acceptance: "coupled", adaptive: true, maxDraftTokens: 8 },
      temperature: 0,
      tools: [],
      topK: 0,
      topP: 1,
      minP: 0,
      repetitionPenalty: 1,
      presencePenalty: 0,
      frequencyPenalty: 0,
      penaltyLastN: 64,
      logitBias: new Map(),
      stop: [],
      ignoreEos: false,
      priority: 0,
      special: false,
    });
  });

  test("takes -Infinity as a bias", () => {
    const { logitBias } = parseOptions(generateSchema, { logitBias: { 3: -Infinity } }, "generate options");
    expect([...logitBias]).toEqual([[3, -Infinity]]);
  });
});

describe("parseOptions with the options of loadModel()", () => {
  test.each<[object, string]>([
    [{ contextTokens: 1 }, "expected an integer from 2 to 16777216 for contextTokens but received 1"],
    [{ kv: "int2" }, 'expected "int8", "f16" or "int4" for kv but received "int2"'],
    [{ pageTokens: 24 }, "expected a multiple of 16 from 16 to 1024 for pageTokens but received 24"],
    [{ threads: 0 }, "expected an integer from 1 to 1024 for threads but received 0"],
    [{ cpuList: [] }, "expected at least one CPU for cpuList but received an array of 0"],
    [{ cpuList: [0, -1] }, "expected an integer from 0 to 65535 for cpuList[1] but received -1"],
    [{ cpuList: "0-3" }, 'expected an array of CPU numbers for cpuList but received "0-3"'],
    [{ priority: 5 }, 'expected "low", "normal" or "high" for priority but received 5'],
    [{ stepStretch: 1 }, "expected a number above 1 for stepStretch but received 1"],
    [{ stepStretch: NaN }, "expected a number above 1 for stepStretch but received NaN"],
    [{ onProgress: true }, "expected a function for onProgress but received true"],
    [{ addon: "air.node" }, 'expected a native addon for addon but received "air.node"'],
  ])("refuses %j", (options, message) => {
    expect(messageOf(() => parseOptions(loadModelSchema, options, "model options"))).toBe(
      `AIR_ERR_ARGUMENT: ${message}`,
    );
  });
});

test("stepStretch may be infinite, and is 2 by default", () => {
  expect(loadModelSchema.parse({ stepStretch: Infinity }).stepStretch).toBe(Infinity);
  expect(loadModelSchema.parse({}).stepStretch).toBe(2);
});

describe("parseOptions with messages", () => {
  test.each<[unknown, string]>([
    [
      [{ role: "tool", content: "" }],
      '"system", "user" or "assistant" for messages[0].role but received "tool"',
    ],
    [[{ role: "user" }], "a string for messages[0].content but received undefined"],
    [[], "at least one message for messages but received an array of 0"],
    [null, "a string or an array of messages for messages but received null"],
  ])("refuses %j", (messages, message) => {
    expect(messageOf(() => parseOptions(messagesSchema, { messages }, "the prompt"))).toBe(
      `AIR_ERR_ARGUMENT: expected ${message}`,
    );
  });
});
