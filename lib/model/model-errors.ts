import { AirError, describeValue } from "../errors/air-error.js";

/** A damaged or self-contradicting file: AIR_ERR_MODEL_FORMAT, "expected X for Y but received Z". */
export function formatError(subject: string, expected: string, received: unknown, cause?: unknown): AirError {
  return modelError("AIR_ERR_MODEL_FORMAT", subject, expected, received, cause);
}

/** A valid file that this build cannot run: AIR_ERR_UNSUPPORTED. */
export function unsupported(subject: string, expected: string, received: unknown): AirError {
  return modelError("AIR_ERR_UNSUPPORTED", subject, expected, received);
}

/** A tokenizer that is missing, damaged or of an unknown kind: AIR_ERR_TOKENIZER. */
export function tokenizerError(
  subject: string,
  expected: string,
  received: unknown,
  cause?: unknown,
): AirError {
  return modelError("AIR_ERR_TOKENIZER", subject, expected, received, cause);
}

function modelError(
  code: "AIR_ERR_MODEL_FORMAT" | "AIR_ERR_UNSUPPORTED" | "AIR_ERR_TOKENIZER",
  subject: string,
  expected: string,
  received: unknown,
  cause?: unknown,
): AirError {
  const message = `expected ${expected} for ${subject} but received ${describeValue(received)}`;
  return new AirError(code, message, cause === undefined ? undefined : { cause });
}
