import { AirError, type ErrorCode, errorCodes } from "../errors/air-error.js";
import { AirNoTierError } from "../routing/eligibility.js";

/** What a client may do about an error, in the words of the OpenAI API. */
export type ErrorType =
  "invalid_request_error" | "authentication_error" | "rate_limit_error" | "overloaded_error" | "server_error";

/** How an error leaves the server. */
export interface ErrorForm {
  readonly status: number;
  readonly type: ErrorType;
  readonly code: string;
}

/** The body of every response that is an error. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: ErrorType;
    readonly param: string | null;
    readonly code: string;
  };
}

const badRequest = (code: string): ErrorForm => ({ status: 400, type: "invalid_request_error", code });
const busy = (code: string): ErrorForm => ({ status: 503, type: "overloaded_error", code });
const broken = (code: string): ErrorForm => ({ status: 500, type: "server_error", code });

/** The status, type and code of every error of air-runtime. */
export const httpErrors: Readonly<Record<ErrorCode, ErrorForm>> = {
  AIR_ERR_ARGUMENT: badRequest("invalid_value"),
  AIR_ERR_UNSUPPORTED: badRequest("unsupported_value"),
  AIR_ERR_CONTEXT: badRequest("context_length_exceeded"),
  AIR_ERR_TEMPLATE: badRequest("invalid_messages"),
  AIR_ERR_OVERLOADED: busy("model_busy"),
  AIR_ERR_NO_TIER: busy("no_tier"),
  AIR_ERR_KV_EXHAUSTED: busy("kv_exhausted"),
  AIR_ERR_MEMORY: busy("out_of_memory"),
  AIR_ERR_OUT_OF_MEMORY: busy("out_of_memory"),
  AIR_ERR_BUSY: busy("busy"),
  AIR_ERR_CLOSED: busy("shutting_down"),
  AIR_ERR_CANCELLED: busy("cancelled"),
  AIR_ERR_REMOTE: { status: 502, type: "server_error", code: "remote_failed" },
  AIR_ERR_TIMEOUT: { status: 504, type: "server_error", code: "timeout" },
  AIR_ERR_SHAPE: broken("internal_error"),
  AIR_ERR_PAGE_RANGE: broken("internal_error"),
  AIR_ERR_INTERNAL: broken("internal_error"),
  AIR_ERR_MODEL_FORMAT: broken("model_broken"),
  AIR_ERR_TOKENIZER: broken("model_broken"),
  AIR_ERR_HEADS_FILE: broken("model_broken"),
  AIR_ERR_NO_DEVICE: broken("no_device"),
  AIR_ERR_DEVICE: broken("device_failed"),
  AIR_ERR_ADDON: broken("addon_missing"),
  AIR_ERR_IO: broken("io_error"),
  AIR_ERR_SESSION_FILE: broken("io_error"),
  AIR_ERR_CONFIG: broken("configuration_error"),
  AIR_ERR_ROUTER_FILE: broken("configuration_error"),
};

/** An error that the server itself has to report. */
export class ApiError extends AirError {
  override readonly name = "ApiError";
  readonly form: ErrorForm;
  /** The field of the request that is wrong. */
  readonly param: string | null;

  constructor(form: ErrorForm, message: string, param: string | null = null, airCode?: ErrorCode) {
    super(airCode ?? (form.status < 500 ? "AIR_ERR_ARGUMENT" : "AIR_ERR_UNSUPPORTED"), message);
    this.form = form;
    this.param = param;
  }
}

/** A 400 that names the field. */
export function invalidRequest(message: string, param: string | null, code = "invalid_value"): ApiError {
  return new ApiError(badRequest(code), message, param);
}

/** Anything thrown, as what the client is told. */
export interface HttpFailure extends ErrorForm {
  readonly body: ErrorBody;
  /** The code of air-runtime, or of the framework, for logs. */
  readonly cause: string;
}

/** What Fastify and its plugins throw: the status says whose fault it is. */
interface FrameworkError {
  readonly statusCode: number;
  readonly code: string;
  readonly message: string;
}

const frameworkCodes: Readonly<Record<number, string>> = {
  404: "not_found",
  408: "request_timeout",
  413: "request_too_large",
  415: "unsupported_media_type",
  429: "rate_limit_exceeded",
  431: "headers_too_large",
};

function isFrameworkError(error: unknown): error is FrameworkError {
  if (!(error instanceof Error) || !("statusCode" in error)) return false;
  return typeof error.statusCode === "number" && error.statusCode >= 400 && error.statusCode < 600;
}

/** The form of an error that has a status and nothing else. */
export function formOfStatus(status: number): ErrorForm {
  if (status === 503) return busy("unavailable");
  if (status >= 500) return { ...broken("internal_error"), status };
  const code = frameworkCodes[status] ?? "invalid_request";
  return { status, type: status === 429 ? "rate_limit_error" : "invalid_request_error", code };
}

/** An error as the body of a response. */
export function errorBody(form: ErrorForm, message: string, param: string | null = null): ErrorBody {
  return { error: { message, type: form.type, param, code: form.code } };
}

function failure(form: ErrorForm, message: string, cause: string, param: string | null = null): HttpFailure {
  return { ...form, body: errorBody(form, message, param), cause };
}

/** Own messages name what the client sent; those of faults here may name files, so that only their kind is told. */
function messageOf(error: AirError, form: ErrorForm): string {
  if (error.code === "AIR_ERR_OVERLOADED") return `The model is busy. ${errorCodes[error.code].meaning}`;
  return form.status < 500 ? error.message : errorCodes[error.code].meaning;
}

/** Whether no tier would take the request at any time, as it is too long for all of them. */
function isHopeless(error: AirError): boolean {
  return (
    error instanceof AirNoTierError &&
    error.reasons.length > 0 &&
    error.reasons.every((reason) => reason === "context")
  );
}

/** Anything thrown, as an HTTP status and an OpenAI-style error object. */
export function toHttpFailure(error: unknown): HttpFailure {
  if (error instanceof ApiError) return failure(error.form, error.message, error.code, error.param);
  if (error instanceof AirError) {
    const form = isHopeless(error) ? httpErrors.AIR_ERR_CONTEXT : httpErrors[error.code];
    return failure(form, messageOf(error, form), error.code);
  }
  if (isFrameworkError(error)) {
    const form = formOfStatus(error.statusCode);
    return failure(form, form.status < 500 ? error.message : "The request failed.", error.code);
  }
  return failure(broken("internal_error"), errorCodes.AIR_ERR_INTERNAL.meaning, "AIR_ERR_INTERNAL");
}
