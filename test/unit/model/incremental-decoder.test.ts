import { describe, expect, test } from "vitest";

import { createIncrementalDecoder } from "../../../lib/model/incremental-decoder.js";

/** A vocabulary of bytes: the id is the byte. */
const decodeBytes = () => createIncrementalDecoder((id) => Uint8Array.of(id));

describe("createIncrementalDecoder", () => {
  test("holds an emoji back until its last byte", () => {
    const decoder = decodeBytes();
    const parts = Array.from(Buffer.from("\u{1f680}"), (byte) => decoder.push(byte));
    expect(parts).toEqual(["", "", "", "\u{1f680}"]);
    expect(decoder.flush()).toBe("");
  });

  test("gives the same text whatever the tokens' borders", () => {
    const text = "na\u00efve \u4e2d\u6587 \u{1f469}\u200d\u{1f4bb} \ufeff end";
    const bytes = Buffer.from(text);
    for (let size = 1; size <= 7; size++) {
      const decoder = createIncrementalDecoder((id) => bytes.subarray(id * size, (id + 1) * size));
      const count = Math.ceil(bytes.length / size);
      const parts = Array.from({ length: count }, (_, id) => decoder.push(id));
      expect(parts.join("") + decoder.flush()).toBe(text);
      expect(parts.join("")).not.toContain("\ufffd");
    }
  });

  test("replaces bytes that can start or continue no character, at once", () => {
    const decoder = decodeBytes();
    expect([0xff, 0x41, 0x80].map((byte) => decoder.push(byte))).toEqual(["\ufffd", "A", "\ufffd"]);
  });

  test("replaces an unfinished character as soon as it cannot be finished", () => {
    const decoder = decodeBytes();
    expect([0xe4, 0xb8, 0x41].map((byte) => decoder.push(byte))).toEqual(["", "", "\ufffdA"]);
  });

  test("replaces an unfinished character at the end, then starts over", () => {
    const decoder = decodeBytes();
    decoder.push(0xf0);
    expect(decoder.flush()).toBe("\ufffd");
    expect(decoder.push(0x41)).toBe("A");
    expect(decoder.flush()).toBe("");
  });

  test("shows nothing for a token without bytes, even within a character", () => {
    const decoder = createIncrementalDecoder((id) => (id === 0 ? new Uint8Array(0) : Uint8Array.of(id)));
    expect([0xc3, 0, 0xa9].map((id) => decoder.push(id))).toEqual(["", "", "\u00e9"]);
  });
});
