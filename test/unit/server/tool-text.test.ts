import { describe, expect, test } from "vitest";

import { ToolTextReader } from "../../../lib/server/tool-text.js";

const names = new Set(["f", "g"]);
const call = (name: string, inner = '{"a":1}') => `{"name":"${name}","arguments":${inner}}`;

/** Reads a text in pieces of so many characters. */
function read(text: string, size: number, isRequired = false) {
  const reader = new ToolTextReader({ names, isRequired });
  let before = "";
  for (let start = 0; start < text.length; start += size)
    before += reader.push(text.slice(start, start + size));
  const { content, calls } = reader.end();
  return {
    before,
    text: before + content,
    calls: calls.map(({ function: { name, arguments: a } }) => [name, a]),
  };
}

const sizes = [1, 2, 3, 7, 1000];

describe("reading calls in an answer", () => {
  test.each(sizes)("text is text, in pieces of %d", (size) => {
    for (const text of [
      "",
      "hello",
      "a < b",
      "x <tool",
      "{not json}",
      "[1, 2]",
      '{"name":"other"}',
      "```js\n1\n```",
    ]) {
      expect(read(text, size)).toMatchObject({ text, calls: [] });
    }
  });

  test.each(sizes)("calls between tags are found, with the text before them, in pieces of %d", (size) => {
    const text = `Well. <tool_call>\n${call("f")}\n</tool_call>\n<tool_call>${call("g", "{}")}</tool_call>`;
    const { before, calls } = read(text, size);
    expect(before).toBe("Well. ");
    expect(calls).toEqual([
      ["f", '{"a":1}'],
      ["g", "{}"],
    ]);
  });

  test.each(sizes)("bare JSON, arrays, fences and parameters are calls too, in pieces of %d", (size) => {
    const one = [["f", '{"a":1}']];
    expect(read(` ${call("f")}\n`, size)).toMatchObject({ text: "", calls: one });
    expect(read(`[${call("f")},${call("g")}]`, size).calls).toHaveLength(2);
    expect(read(`\`\`\`json\n${call("f")}\n\`\`\``, size)).toMatchObject({ text: "", calls: one });
    expect(read('{"name":"f","parameters":{"a":1}}', size).calls).toEqual(one);
    expect(read(`<tool_call>${call("f")}`, size).calls).toEqual(one);
  });

  test.each(sizes)("calls of unknown tools and broken ones stay text, in pieces of %d", (size) => {
    for (const text of [`<tool_call>${call("h")}</tool_call>`, "<tool_call>{</tool_call> end", call("h")]) {
      expect(read(text, size)).toMatchObject({ text, calls: [] });
    }
  });

  test("an answer that has to be a call is held back to its end", () => {
    expect(read("hello", 1, true)).toMatchObject({ before: "", text: "hello" });
  });
});
