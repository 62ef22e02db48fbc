import { CommanderError } from "commander";
import { describe, expect, test } from "vitest";

import { renderError } from "../../../lib/cli/render-error.js";
import { AirError, errorCodes, invalidArgument } from "../../../lib/errors/air-error.js";

describe("renderError", () => {
  test("prints code and message on one line and the remedy on the next", () => {
    const { text, status } = renderError(
      new AirError("AIR_ERR_IO", "expected a file for x but received none"),
    );
    expect(text).toBe(
      `AIR_ERR_IO: expected a file for x but received none\n${errorCodes.AIR_ERR_IO.remedy}\n`,
    );
    expect(status).toBe(1);
  });

  test("gives programs the same three facts", () => {
    const { json } = renderError(new AirError("AIR_ERR_CONTEXT", "expected less"));
    expect(json).toEqual({
      error: { code: "AIR_ERR_CONTEXT", message: "expected less", remedy: errorCodes.AIR_ERR_CONTEXT.remedy },
    });
  });

  test("ends with status 2 for a bad option value", () => {
    expect(renderError(invalidArgument("-n", "a whole number", "x")).status).toBe(2);
  });

  test("puts a usage mistake found by the parser into the same form", () => {
    const mistake = new CommanderError(
      1,
      "commander.unknownOption",
      "error: unknown option '--foo'\n(Did you mean --f?)",
    );
    const { status, text } = renderError(mistake);
    expect(status).toBe(2);
    expect(text.split("\n")[0]).toBe(
      "AIR_ERR_ARGUMENT: expected usage as `air --help` shows but received unknown option '--foo' (Did you mean --f?)",
    );
  });

  test.each([new TypeError("boom"), "boom"])("calls the unforeseen a bug: %o", (thrown) => {
    const { status, json } = renderError(thrown);
    expect(status).toBe(1);
    expect(json.error.code).toBe("AIR_ERR_INTERNAL");
    expect(json.error.message).toContain("boom");
  });
});
