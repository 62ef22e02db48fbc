import { parseRetryAfter } from "../../util/backoff.js";
import type { Exchange } from "./exchange.js";
import { AirRemoteError, type RemoteFailure } from "./remote-error.js";
import type { ResolvedRemoteTierOptions } from "./remote-options.js";
import { type ReadErrors, readText } from "./response-body.js";

/** What a tier takes from its surroundings; tests bring their own. */
export interface RemoteEnvironment {
  readonly fetch: typeof fetch;
  /** Where keyEnv is looked up. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Rejects when the signal aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<unknown>;
}

/** Characters of an error's body that are read, and how long it may take to come. */
const maxErrorCharacters = 65_536;
const errorBodyMs = 1000;

/** The parts of a failure that differ between failures of an endpoint. */
export type FailureDetails = Omit<RemoteFailure, "tier" | "code" | "isEndpointFault"> &
  Partial<Pick<RemoteFailure, "code" | "isEndpointFault">>;

/** Sends requests to an OpenAI-compatible endpoint, and turns what HTTP says into errors. */
export class Endpoint {
  readonly #options: ResolvedRemoteTierOptions;
  readonly #environment: RemoteEnvironment;

  constructor(options: ResolvedRemoteTierOptions, environment: RemoteEnvironment) {
    this.#options = options;
    this.#environment = environment;
  }

  /** Whether the key is there, if one is needed. */
  get hasKey(): boolean {
    return this.#options.keyEnv === undefined || this.#key() !== undefined;
  }

  /** An error about this endpoint; it is the endpoint's fault unless told otherwise. */
  failure(details: FailureDetails): AirRemoteError {
    const { name: tier } = this.#options;
    return new AirRemoteError({ code: "AIR_ERR_REMOTE", isEndpointFault: true, ...details, tier });
  }

  /** An error about something that did not come in time. */
  timeout(expected: string, milliseconds: number): AirRemoteError {
    const received = `nothing within ${Math.round(milliseconds)} ms`;
    return this.failure({ code: "AIR_ERR_TIMEOUT", expected, received, isRetryable: true });
  }

  /**
   * Sends a request, POST if it has a body, and returns the response to read, whose status is 2xx.
   *
   * @throws {AirRemoteError} AIR_ERR_REMOTE, AIR_ERR_TIMEOUT
   */
  async send(path: "chat/completions" | "models", exchange: Exchange, body?: string): Promise<Response> {
    const { url, model } = this.#options;
    const headers = this.#headers(body !== undefined);
    const target = `${url.replace(/\/+$/, "")}/${path}`;
    const request = this.#environment.fetch(target, {
      method: body === undefined ? "GET" : "POST",
      headers,
      ...(body !== undefined && { body }),
      // A redirect could take prompt and key to another host.
      redirect: "manual",
      signal: exchange.signal,
    });
    const response = await exchange.step(request, (cause) => this.#networkFailure("an answer", cause));
    if (response.ok) return response;
    throw await this.#statusFailure(response, exchange, `an answer of the model "${model}"`);
  }

  /** The errors of reading what the endpoint sends. */
  readErrors(expected: string): ReadErrors {
    return {
      broken: (cause) => this.#networkFailure(expected, cause),
      tooLong: (characters) =>
        this.failure({ expected, received: `more than ${characters} characters`, isRetryable: false }),
    };
  }

  /** The error of a connection that broke, or was never made. */
  #networkFailure(expected: string, thrown: unknown): AirRemoteError {
    const code = networkCode(thrown);
    return this.failure({
      code: code.endsWith("_TIMEOUT") || code === "ETIMEDOUT" ? "AIR_ERR_TIMEOUT" : "AIR_ERR_REMOTE",
      expected,
      received: `a broken connection (${code})`,
      isRetryable: true,
      cause: thrown,
    });
  }

  #headers(hasBody: boolean): Headers {
    const headers = new Headers(this.#options.headers);
    headers.set("accept", hasBody && this.#options.stream ? "text/event-stream" : "application/json");
    // Compression would hold events back until a block of it is full.
    headers.set("accept-encoding", "identity");
    if (hasBody) headers.set("content-type", "application/json");
    const { keyEnv, keyHeader } = this.#options;
    if (keyEnv === undefined) return headers;
    const key = this.#key();
    if (key === undefined) {
      throw this.failure({
        expected: `a key of visible ASCII characters in the environment variable ${keyEnv}`,
        received: "none",
        isRetryable: false,
        isEndpointFault: false,
      });
    }
    headers.set(keyHeader, keyHeader.toLowerCase() === "authorization" ? `Bearer ${key}` : key);
    return headers;
  }

  /** The key, if it is one that a header can carry; Headers would repeat any other in its error. */
  #key(): string | undefined {
    const { keyEnv } = this.#options;
    const key = keyEnv === undefined ? undefined : this.#environment.variables[keyEnv]?.trim();
    return key !== undefined && /^[\x21-\x7e]+$/.test(key) ? key : undefined;
  }

  async #statusFailure(response: Response, exchange: Exchange, expected: string): Promise<AirRemoteError> {
    const { status, type } = response;
    if (type === "opaqueredirect" || (status >= 300 && status < 400)) {
      return this.failure({
        expected: `${expected} without a redirect`,
        received: `HTTP ${status}`,
        status,
        isRetryable: false,
      });
    }
    exchange.limit(errorBodyMs, () => this.timeout("the rest of an error", errorBodyMs));
    const errors = this.readErrors("the rest of an error");
    const word = await readText(response, exchange, errors, maxErrorCharacters).then(
      errorWord,
      () => undefined,
    );
    const isBusy = status === 408 || status === 429 || status >= 500;
    const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), this.#environment.wallClock());
    const wait = retryAfterMs === undefined ? "" : `, to come back in ${Math.ceil(retryAfterMs / 1000)} s`;
    return this.failure({
      expected,
      received: `HTTP ${status}${word === undefined ? "" : ` (${word})`}${wait}`,
      status,
      isRetryable: isBusy,
      // A key, model or url that is wrong fails every request; other refusals are about this one.
      isEndpointFault: isBusy || status === 401 || status === 403 || status === 404,
      ...(isBusy && retryAfterMs !== undefined && { retryAfterMs }),
    });
  }
}

/** The system's or the HTTP client's code of a network error; its message is not for messages of ours. */
function networkCode(thrown: unknown): string {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if ("code" in error && typeof error.code === "string") return error.code;
  }
  return "no code";
}

/**
 * The code or type of an error in an endpoint's own words, such as model_not_found. Only words without digits or blanks
 * pass: messages of endpoints repeat prompts and parts of keys.
 */
export function errorWord(text: string): string | undefined {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return undefined;
  }
  const inner = propertyOf(body, "error");
  const error = typeof inner === "object" && inner !== null ? inner : body;
  return [propertyOf(error, "code"), propertyOf(error, "type")].find(
    (word): word is string => typeof word === "string" && /^[A-Za-z][A-Za-z_]{2,39}$/.test(word),
  );
}

function propertyOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
