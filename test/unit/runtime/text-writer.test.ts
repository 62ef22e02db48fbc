import { describe, expect, test } from "vitest";

import { createIncrementalDecoder } from "../../../lib/model/incremental-decoder.js";
import type { GeneratedChunk } from "../../../lib/runtime/generation.js";
import { TextWriter } from "../../../lib/runtime/text-writer.js";
import { fakeTokenizer } from "../../support/fake-model.js";

const endId = 1;

/** Writes tokens that stand for these bytes, the end-of-generation token for none. */
function write(
  pieces: readonly (readonly number[])[],
  stop: readonly string[],
  maxTokens = 100,
  drafted: ReadonlySet<number> = new Set(),
) {
  const bytes = [[], [], ...pieces].map((piece) => Uint8Array.from(piece));
  const chunks: GeneratedChunk[] = [];
  const writer = new TextWriter({
    tokenizer: {
      ...fakeTokenizer,
      createDecoder: () => createIncrementalDecoder((id) => bytes[id] ?? new Uint8Array()),
    },
    stop,
    maxTokens,
    ignoreEos: false,
    seed: 0,
    promptTokens: 1,
    emit: (chunk) => chunks.push(chunk),
  });
  for (const token of [...pieces.map((_, index) => index + 2), endId]) {
    if (!writer.write({ token }, drafted.has(token - 2))) break;
  }
  return {
    chunks: chunks.map(({ text, tokens }) => [text, tokens.length]),
    drafted: chunks.map((chunk) => chunk.drafted),
    result: writer.result(0),
  };
}

const utf8 = (text: string): number[] => [...Buffer.from(text)];

describe("TextWriter", () => {
  test("holds half a character back until the next token completes it", () => {
    const { chunks, result } = write([utf8("a"), [0xc3], [0xa9], utf8("b")], []);
    expect(chunks).toEqual([
      ["a", 1],
      ["\u00e9", 2],
      ["b", 1],
    ]);
    expect(result).toMatchObject({ text: "a\u00e9b", finishReason: "stop" });
  });

  test("says of the tokens of a chunk which were drafted, where one was", () => {
    const pieces = [utf8("a"), [0xc3], [0xa9], utf8("b"), utf8("c")];
    const { drafted } = write(pieces, [], 100, new Set([2, 4]));
    expect(drafted).toEqual([undefined, [false, true], undefined, [true]]);
  });

  test("gives half a character as U+FFFD when the text ends in it", () => {
    expect(write([utf8("a"), [0xc3]], [], 2)).toMatchObject({
      chunks: [
        ["a", 1],
        ["\ufffd", 1],
      ],
      result: { text: "a\ufffd", finishReason: "length" },
    });
  });

  test("finds a stop string that only the end of the text completes", () => {
    expect(write([utf8("ab"), [0xc3]], ["b\ufffd"])).toMatchObject({
      result: { text: "a", finishReason: "stop" },
    });
    expect(write([utf8("ab"), [0xc3]], ["b\ufffd"], 2).result.finishReason).toBe("stop");
  });

  test("keeps the tokens of held-back text for the chunk that shows it", () => {
    expect(write([utf8("a<"), utf8("e"), utf8("x")], ["<end>"]).chunks).toEqual([
      ["a", 1],
      ["<ex", 2],
    ]);
  });

  test("counts the tokens of a stop string, whose text it does not show", () => {
    const { chunks, result } = write([utf8("a"), utf8("<e"), utf8("nd>b")], ["<end>"]);
    expect(result).toMatchObject({ text: "a", tokens: [2, 3, 4], finishReason: "stop" });
    expect(chunks).toEqual([
      ["a", 1],
      ["", 2],
    ]);
  });

  test("has made no text when nothing was written", () => {
    expect(write([], [], 5).result).toMatchObject({ text: "", tokens: [], finishReason: "stop" });
  });
});
