import { describe, expect, test } from "vitest";

import { formatBytes, formatCount, parseBytes } from "../../../lib/util/quantities.js";

describe("formatBytes and formatCount", () => {
  test("use three digits or so, and powers of 1024 and 1000", () => {
    expect([0, 1023, 1024, 5391424, 8 * 2 ** 30].map(formatBytes)).toEqual([
      ...["0 B", "1023 B", "1.00 KiB", "5.14 MiB", "8.00 GiB"],
    ]);
    expect([999, 8392960, 1.5e9].map(formatCount)).toEqual(["999", "8.39M", "1.50B"]);
  });
});

describe("parseBytes", () => {
  test.each([
    ["8GiB", 8 * 2 ** 30],
    ["8GB", 8e9],
    ["512MiB", 512 * 2 ** 20],
    ["1.5 gib", 1.5 * 2 ** 30],
    [" 64kb ", 64_000],
    ["2TiB", 2 * 2 ** 40],
    ["123456", 123456],
    ["123b", 123],
  ])("reads %s", (text, bytes) => {
    expect(parseBytes("--memory", text)).toBe(bytes);
  });

  test.each([
    "",
    "GiB",
    "8G",
    "8 GiB of memory",
    "-1GiB",
    "0",
    "0.1",
    "1e9",
    "8PiB",
    "99999999TiB",
    "8,5GiB",
  ])("refuses %j", (text) => {
    expect(() => parseBytes("--memory", text)).toThrow(
      /^expected a size such as 8GiB, 8GB, 512MiB or a number of bytes for --memory but received "/,
    );
  });
});
