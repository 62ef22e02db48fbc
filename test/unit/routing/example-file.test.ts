import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { describe, expect, test } from "vitest";

import {
  parseLabelledPrompts,
  parsePrompts,
  readLabelledPrompts,
} from "../../../lib/routing/example-file.js";

const messages = [{ role: "user", content: "hi" }] as const;

describe("parseLabelledPrompts", () => {
  test("reads prompts and conversations, and skips empty lines and other fields", () => {
    const text = [
      "\ufeff" + JSON.stringify({ prompt: "a", tier: 0, family: "f", topic: "t", id: 7 }),
      "",
      `${JSON.stringify({ messages, tier: 2 })}\r`,
    ].join("\n");
    expect(parseLabelledPrompts(text, "data.jsonl")).toEqual([
      { prompt: "a", tier: 0, family: "f", topic: "t" },
      { prompt: messages, tier: 2 },
    ]);
  });

  test.each([
    ["nonsense", "a JSON object", '"nonsense"'],
    ["[1]", "an object", "an array of 1"],
    ['{"prompt":3,"tier":0}', "prompt to be a string", "3"],
    ['{"prompt":"","tier":0}', "prompt to be some text", '""'],
    ['{"prompt":"a"}', "tier to be 0, 1 or 2", "none"],
    ['{"prompt":"a","tier":3}', "tier to be 0, 1 or 2", "3"],
    ['{"prompt":"a","tier":"hard"}', "tier to be 0, 1 or 2", '"hard"'],
    ['{"tier":0}', "either prompt or messages", "neither"],
    [
      '{"prompt":"a","messages":[{"role":"user","content":"b"}],"tier":0}',
      "either prompt or messages",
      "both",
    ],
    ['{"messages":[],"tier":0}', "messages to be at least one message", "an array of 0"],
    ['{"messages":[{"role":"robot","content":"a"}],"tier":0}', "messages.0.role to be", '"robot"'],
  ])("names the line of %s", (line, expected, received) => {
    const parse = () => parseLabelledPrompts(`{"prompt":"fine","tier":1}\n${line}`, "data.jsonl");
    expect(parse).toThrow(expect.objectContaining({ code: "AIR_ERR_ARGUMENT" }));
    expect(parse).toThrow(`expected ${expected}`);
    expect(parse).toThrow(`for line 2 of data.jsonl but received ${received}`);
  });
});

describe("parsePrompts", () => {
  test("needs no tiers", () => {
    expect(parsePrompts('{"prompt":"a"}\n{"prompt":"b","tier":1}', "data.jsonl")).toEqual(["a", "b"]);
  });
});

describe("readLabelledPrompts", () => {
  test("reads a file, and says which it cannot read", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "air-examples-"));
    const file = path.join(folder, "data.jsonl");
    writeFileSync(file, '{"prompt":"a","tier":1}\n');
    expect(await readLabelledPrompts(file)).toEqual([{ prompt: "a", tier: 1 }]);
    await expect(readLabelledPrompts(`${file}.not`)).rejects.toMatchObject({ code: "AIR_ERR_IO" });
  });
});
