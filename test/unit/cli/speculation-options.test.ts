import { Command } from "commander";
import { describe, expect, test } from "vitest";

import {
  addSpeculationOptions,
  type SpeculationCliOptions,
  toDraftOptions,
  toSpeculation,
} from "../../../lib/cli/speculation-options.js";

function parse(...args: readonly string[]): SpeculationCliOptions {
  const command = addSpeculationOptions(new Command("test")).exitOverride();
  return command.parse(args, { from: "user" }).opts<SpeculationCliOptions>();
}

describe("--draft", () => {
  test.each([
    [[], {}, {}],
    [["--draft", "auto"], {}, {}],
    [["--draft", "ngram"], {}, { proposers: ["ngram"] }],
    [["--draft", "small.gguf"], { draft: "small.gguf" }, {}],
    [["--draft", "./ngram", "--draft-max", "4"], { draft: "./ngram" }, { maxDraftTokens: 4 }],
  ])("given as %j loads %j and speculates by %j", (args, load, speculation) => {
    const options = parse(...args);
    expect(toDraftOptions(options)).toEqual(load);
    expect(toSpeculation(options)).toEqual({ speculation });
  });

  test("off turns speculation off", () => {
    expect(toSpeculation(parse("--draft", "off", "--draft-max", "4"))).toEqual({ speculation: "off" });
  });

  test.each([
    ["--draft", ""],
    ["--draft-max", "0"],
    ["--draft-max", "16"],
  ])("refuses %s %j", (...args) => {
    expect(() => parse(...args)).toThrow(expect.objectContaining({ code: "AIR_ERR_ARGUMENT" }));
  });
});
