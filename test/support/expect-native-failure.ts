import { expect } from "vitest";

import { AirNativeError, type ErrorCode } from "../../lib/errors/air-error.js";

/** The error of a call, sync or async; fails when there is none. */
async function failureOf(action: () => unknown): Promise<AirNativeError> {
  try {
    await action();
  } catch (error) {
    expect(error).toBeInstanceOf(AirNativeError);
    return error as AirNativeError;
  }
  throw new Error("expected the call to fail");
}

/** Expects a native failure with this code, and with a stack that names the test that met it. */
export async function expectNativeFailure(
  action: () => unknown,
  code: ErrorCode,
  message: RegExp,
): Promise<void> {
  const error = await failureOf(action);
  expect(error.message).toMatch(message);
  expect(error.code).toBe(code);
  expect(error.stack).toMatch(/test\/integration\/[a-z-]+\.test\.ts/);
}
