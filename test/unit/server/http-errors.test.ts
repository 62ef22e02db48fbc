import { describe, expect, test } from "vitest";

import { AirError, errorCodes, type ErrorCode } from "../../../lib/errors/air-error.js";
import { httpErrors, toHttpFailure } from "../../../lib/server/http-errors.js";

const codes = Object.keys(errorCodes) as ErrorCode[];

describe("errors over HTTP", () => {
  test.each(codes)("%s has a status, a type and a code", (code) => {
    const { status, body } = toHttpFailure(new AirError(code, "expected a for /secret/file but received b"));
    expect(status).toBe(httpErrors[code].status);
    expect(body.error).toMatchObject({
      type: httpErrors[code].type,
      code: httpErrors[code].code,
      param: null,
    });
    // Messages of faults here may name files; those of faults of the request say what to change.
    expect(body.error.message.includes("/secret/file")).toBe(status < 500);
  });

  test("a fault of the client is 4xx, one of the server 5xx, and busy is 503", () => {
    const statusOf = (code: ErrorCode) => httpErrors[code].status;
    expect(statusOf("AIR_ERR_ARGUMENT")).toBe(400);
    expect(statusOf("AIR_ERR_CONTEXT")).toBe(400);
    expect(statusOf("AIR_ERR_INTERNAL")).toBe(500);
    expect(statusOf("AIR_ERR_OVERLOADED")).toBe(503);
    expect(statusOf("AIR_ERR_REMOTE")).toBe(502);
    expect(statusOf("AIR_ERR_TIMEOUT")).toBe(504);
  });

  test("what nobody foresaw is a 500 that tells nothing", () => {
    for (const thrown of [new Error("secret"), "secret", undefined, { statusCode: 400 }]) {
      const { status, body } = toHttpFailure(thrown);
      expect(status).toBe(500);
      expect(JSON.stringify(body)).not.toContain("secret");
    }
  });

  test("what the framework throws keeps its status", () => {
    const error = Object.assign(new Error("too large"), { statusCode: 413, code: "FST" });
    expect(toHttpFailure(error)).toMatchObject({
      ...{ status: 413, cause: "FST" },
      body: { error: { message: "too large", code: "request_too_large", type: "invalid_request_error" } },
    });
  });
});
