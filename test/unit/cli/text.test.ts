import { describe, expect, test } from "vitest";

import { formatBytes, formatCount, table } from "../../../lib/cli/text.js";

describe("formatBytes", () => {
  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.00 KiB"],
    [5391424, "5.14 MiB"],
    [20 * 2 ** 30, "20.0 GiB"],
    [2 ** 60, "1048576.0 TiB"],
  ])("renders %d as %s", (bytes, expected) => {
    expect(formatBytes(bytes)).toBe(expected);
  });
});

describe("formatCount", () => {
  test.each([
    [288, "288"],
    [8392960, "8.39M"],
    [1_100_000_000, "1.10B"],
  ])("renders %d as %s", (count, expected) => {
    expect(formatCount(count)).toBe(expected);
  });
});

describe("table", () => {
  test("aligns columns to their widest cell and leaves no trailing spaces", () => {
    const rows = [
      ["type", "count"],
      ["Q4_0", "7"],
      ["a longer name", "112"],
    ];
    expect(table(rows, ["left", "right"])).toBe(
      "type           count\nQ4_0               7\na longer name    112",
    );
  });

  test("takes rows of different lengths", () => {
    expect(table([["a"], ["b", "c"]])).toBe("a\nb  c");
  });
});
