import { Command } from "commander";
import { afterEach, describe, expect, test, vi } from "vitest";

import {
  addModelOptions,
  addSamplingOptions,
  decimal,
  integer,
  type ModelOptions,
  type SamplingOptions,
  toGenerateOptions,
  toLoadOptions,
} from "../../../lib/cli/options.js";

function parse(...args: readonly string[]) {
  const command = addSamplingOptions(addModelOptions(new Command("test"))).exitOverride();
  return command.parse(args, { from: "user" }).opts<ModelOptions & SamplingOptions>();
}

const signal = new AbortController().signal;

describe("integer", () => {
  const parser = integer("-n", { min: 1, max: 100 });

  test.each([
    ["1", 1],
    ["100", 100],
    [" 7 ", 7],
    ["+7", 7],
  ])("reads %j as %d", (text, value) => {
    expect(parser(text)).toBe(value);
  });

  test.each(["0", "101", "-1", "1.5", "1e1", "0x10", "", " ", "ten", "NaN", "Infinity"])(
    "refuses %j",
    (text) => {
      expect(() => parser(text)).toThrow(
        expect.objectContaining({
          code: "AIR_ERR_ARGUMENT",
          message: `expected a whole number from 1 to 100 for -n but received ${JSON.stringify(text)}`,
        }),
      );
    },
  );
});

describe("decimal", () => {
  const parser = decimal("--top-p", { min: 0, max: 1 });

  test.each([
    ["0", 0],
    ["0.95", 0.95],
    [".5", 0.5],
    ["1e-3", 0.001],
  ])("reads %j as %d", (text, value) => {
    expect(parser(text)).toBe(value);
  });

  test.each(["-0.1", "1.01", "", "half", "NaN", "0,5"])("refuses %j", (text) => {
    expect(() => parser(text)).toThrow(expect.objectContaining({ code: "AIR_ERR_ARGUMENT" }));
  });
});

describe("model options", () => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  test("default to int8 pages and leave the rest to the library", () => {
    const { model, ctx, kv, threads, cpuList, priority } = parse();
    expect({ model, ctx, kv, threads, cpuList, priority }).toEqual({ kv: "int8" });
    expect(toLoadOptions(parse())).toEqual({ kv: "int8" });
  });

  test("are read from the command line", () => {
    expect(parse("-m", "a.gguf", "--ctx", "64", "--kv", "f16", "--threads", "2")).toMatchObject({
      model: "a.gguf",
      ctx: 64,
      kv: "f16",
      threads: 2,
    });
  });

  test.each([
    ["3", [3]],
    ["0,2-3", [0, 2, 3]],
    ["5-5,1", [5, 1]],
  ])("read the CPUs %s in order", (text, cpuList) => {
    expect(toLoadOptions(parse("--cpu-list", text))).toEqual({ kv: "int8", cpuList });
  });

  test.each(["", "a", "1,", "3-1", "1-2-3", "-1", "1.5", "0x1", "99999"])("refuse the CPUs %j", (text) => {
    expect(() => parse(`--cpu-list=${text}`)).toThrow(
      expect.objectContaining({
        code: "AIR_ERR_ARGUMENT",
        message: `expected CPUs such as 0,2-3 for --cpu-list but received ${JSON.stringify(text)}`,
      }),
    );
  });

  test("take a priority by name and refuse another", () => {
    expect(toLoadOptions(parse("--priority", "low"))).toMatchObject({ priority: "low" });
    expect(() => parse("--priority", "idle")).toThrow(
      'expected low, normal or high for --priority but received "idle"',
    );
  });

  test("take the pack cache from the command line, then from AIR_PACK_CACHE; an empty one is none", () => {
    expect(toLoadOptions(parse())).toEqual({ kv: "int8" });
    expect(toLoadOptions(parse("--pack-cache", "cache"))).toEqual({ kv: "int8", packCache: "cache" });
    vi.stubEnv("AIR_PACK_CACHE", "from env");
    expect(toLoadOptions(parse())).toEqual({ kv: "int8", packCache: "from env" });
    expect(toLoadOptions(parse("--pack-cache", "cache"))).toMatchObject({ packCache: "cache" });
    expect(toLoadOptions(parse("--pack-cache", ""))).toEqual({ kv: "int8" });
    vi.stubEnv("AIR_PACK_CACHE", "");
    expect(toLoadOptions(parse())).toEqual({ kv: "int8" });
  });

  test("refuse another KV type by name", () => {
    expect(() => parse("--kv", "int2")).toThrow('expected int8, f16 or int4 for --kv but received "int2"');
  });
});

describe("sampling options", () => {
  test("are greedy by default, so that a command repeats itself", () => {
    expect(toGenerateOptions(parse(), signal)).toEqual({ maxTokens: 512, temperature: 0, signal });
  });

  test("get the library's names", () => {
    const options = parse(
      ...["-n", "5", "--temp", "0.7", "--top-k", "40", "--top-p", "0.9", "--min-p", "0.05"],
      ...["--repeat-penalty", "1.1", "--seed", "9007199254740991", "--stop", "\n", "--stop", "END"],
    );
    expect(toGenerateOptions(options, signal)).toEqual({
      maxTokens: 5,
      temperature: 0.7,
      topK: 40,
      topP: 0.9,
      minP: 0.05,
      repetitionPenalty: 1.1,
      seed: 9007199254740991,
      stop: ["\n", "END"],
      signal,
    });
  });
});
