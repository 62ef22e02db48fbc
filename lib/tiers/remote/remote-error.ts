import { AirError } from "../../errors/air-error.js";

/** What went wrong with an attempt. Neither text of the prompt nor the key is ever part of it. */
export interface RemoteFailure {
  readonly code: "AIR_ERR_REMOTE" | "AIR_ERR_TIMEOUT";
  /** Name of the tier. */
  readonly tier: string;
  /** Completes "expected ... for the remote tier". */
  readonly expected: string;
  /** Completes "but received ...". */
  readonly received: string;
  /** Whether the same request may do better in a moment. */
  readonly isRetryable: boolean;
  /** Whether the endpoint is to blame rather than the request. */
  readonly isEndpointFault: boolean;
  /** HTTP status, where there was one. */
  readonly status?: number;
  /** Milliseconds that the endpoint asked to wait. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** How far a request had come when it failed. */
export interface RemoteProgress {
  /** Requests sent. */
  readonly attempts: number;
  /** Characters (UTF-16 code units) that the reader was given. */
  readonly partialCharacters: number;
}

/** A request to a remote tier that failed, with code AIR_ERR_REMOTE or AIR_ERR_TIMEOUT. */
export class AirRemoteError extends AirError {
  override readonly name = "AirRemoteError";
  readonly failure: RemoteFailure;
  readonly progress: RemoteProgress;

  constructor(failure: RemoteFailure, progress: RemoteProgress = { attempts: 1, partialCharacters: 0 }) {
    super(
      failure.code,
      messageOf(failure, progress),
      failure.cause === undefined ? undefined : { cause: failure.cause },
    );
    this.failure = failure;
    this.progress = progress;
  }

  /** Whether another tier may take the request over: the reader was not given any text yet. */
  get mayFallBack(): boolean {
    return this.progress.partialCharacters === 0;
  }
}

function messageOf({ tier, expected, received }: RemoteFailure, progress: RemoteProgress): string {
  const { attempts, partialCharacters } = progress;
  const tries = attempts > 1 ? `, on attempt ${attempts}` : "";
  const partial = partialCharacters > 0 ? `, after ${partialCharacters} characters of the answer` : "";
  return `expected ${expected} for the remote tier "${tier}" but received ${received}${tries}${partial}`;
}
