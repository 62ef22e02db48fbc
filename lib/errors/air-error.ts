import { errorCodes, type ErrorCode } from "./codes.js";

/** The base of every error that air-runtime throws: a stable `code`, a message, and what to do about it. */
export class AirError extends Error {
  override readonly name: string = "AirError";
  readonly code: ErrorCode;
  /** What to do, in one sentence. */
  readonly remedy: string;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.remedy = errorCodes[code].remedy;
  }
}

/** A value from the caller that cannot be used. */
export class AirArgumentError extends AirError {
  override readonly name = "AirArgumentError";
}

/** A failure reported by the native addon, thrown with the stack of the JavaScript call that met it. */
export class AirNativeError extends AirError {
  override readonly name = "AirNativeError";
}

/** Memory, pages or context that ran out. */
export class AirCapacityError extends AirError {
  override readonly name = "AirCapacityError";
}

/** Renders a value for an error message: short, quoted where it is text. */
export function describeValue(value: unknown): string {
  if (typeof value === "string")
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
  if (typeof value === "bigint") return `${value.toString()}n`;
  if (value === null || value === undefined || typeof value === "number" || typeof value === "boolean") {
    return String(value);
  }
  if (Array.isArray(value)) return `an array of ${String(value.length)}`;
  if (typeof value === "function") return "a function";
  const { constructor } = value as { readonly constructor?: { readonly name: string } };
  const name = constructor?.name ?? "Object";
  if (name === "Object") return "an object";
  return `${/^[AEIOU]/.test(name) ? "an" : "a"} ${name}`;
}

/** An AirArgumentError in the one sentence form: expected X for Y but received Z. */
export function invalidArgument(
  subject: string,
  expected: string,
  received: unknown,
  code: ErrorCode = "AIR_ERR_ARGUMENT",
): AirArgumentError {
  return new AirArgumentError(
    code,
    `expected ${expected} for ${subject} but received ${describeValue(received)}`,
  );
}

/** The message of something thrown. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The error of work that took longer than it was given. */
export function deadlineError(): AirError {
  return new AirError(
    "AIR_ERR_TIMEOUT",
    "expected an answer within its time but received the end of the time first",
  );
}

/** What the system refused about a file: expected "a readable file" for path but received the reason. */
export function ioError(path: string, expected: string, cause: unknown): AirError {
  return new AirError("AIR_ERR_IO", `expected ${expected} for ${path} but received ${reasonOf(cause)}`, {
    cause,
  });
}

export { errorCodes, type ErrorCode };
