import { describe, expect, test } from "vitest";

import {
  AirArgumentError,
  AirCapacityError,
  AirError,
  AirNativeError,
  describeValue,
  errorCodes,
  invalidArgument,
} from "../../../lib/errors/air-error.js";

describe("AirError", () => {
  test("carries its code, its message and the remedy of the code", () => {
    const error = new AirError("AIR_ERR_IO", "expected a file for x but received a directory");
    expect(error).toBeInstanceOf(Error);
    expect(error.code).toBe("AIR_ERR_IO");
    expect(error.message).toBe("expected a file for x but received a directory");
    expect(error.remedy).toBe(errorCodes.AIR_ERR_IO.remedy);
  });

  test("keeps what caused it", () => {
    const cause = new TypeError("boom");
    expect(new AirError("AIR_ERR_INTERNAL", "m", { cause }).cause).toBe(cause);
  });

  test.each([AirArgumentError, AirNativeError, AirCapacityError])(
    "$name is an AirError named after itself",
    (kind) => {
      const error = new kind("AIR_ERR_ARGUMENT", "m");
      expect(error).toBeInstanceOf(AirError);
      expect(error.name).toBe(kind.name);
    },
  );
});

describe("errorCodes", () => {
  test.each(Object.entries(errorCodes))(
    "%s has a meaning and a remedy in whole sentences",
    (_code, entry) => {
      expect(entry.meaning).toMatch(/^[A-Z].*\.$/);
      expect(entry.remedy).toMatch(/^[A-Z].*\.$/);
    },
  );
});

describe("invalidArgument", () => {
  test("says what was expected for what, and what came", () => {
    const error = invalidArgument("topK", "a whole number", "many");
    expect(error).toBeInstanceOf(AirArgumentError);
    expect(error.code).toBe("AIR_ERR_ARGUMENT");
    expect(error.message).toBe('expected a whole number for topK but received "many"');
  });
});

describe("describeValue", () => {
  test.each([
    [undefined, "undefined"],
    [null, "null"],
    [1.5, "1.5"],
    [2n ** 60n, "1152921504606846976n"],
    ["a\nb", '"a\\nb"'],
    [[1, 2, 3], "an array of 3"],
    [new Float32Array(2), "a Float32Array"],
    [new Int32Array(2), "an Int32Array"],
    [{ a: 1 }, "an object"],
    [Object.create(null), "an object"],
    [() => 1, "a function"],
  ])("renders %o as %s", (value, expected) => {
    expect(describeValue(value)).toBe(expected);
  });

  test("cuts a long string short", () => {
    expect(describeValue("x".repeat(1000))).toBe(`"${"x".repeat(57)}..."`);
  });
});
