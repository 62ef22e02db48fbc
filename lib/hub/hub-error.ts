import { AirError, type ErrorCode } from "../errors/air-error.js";

/** A failed exchange with the hub. */
export class HubError extends AirError {
  override readonly name = "HubError";
  /** Whether the same request may succeed later. */
  readonly isTransient: boolean;
  /** How long the hub asks to wait before that. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    options: {
      readonly code?: ErrorCode;
      readonly isTransient?: boolean;
      readonly retryAfterMs?: number | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(options.code ?? "AIR_ERR_HUB", message, { cause: options.cause });
    this.isTransient = options.isTransient ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** An address for messages: without the query, which may hold a signature that gives access. */
export function describeUrl({ origin, pathname }: URL): string {
  return origin + pathname;
}

/** What the system says about a failed connection; fetch() itself only says that it failed. */
export function connectionReason(thrown: unknown): string {
  const { cause } = thrown as { readonly cause?: unknown };
  const inner = cause instanceof Error ? cause : thrown;
  if (!(inner instanceof Error)) return String(inner);
  const { code } = inner as NodeJS.ErrnoException;
  return inner.message === "" ? (code ?? "no connection") : inner.message;
}
