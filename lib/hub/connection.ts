import { setTimeout as sleep } from "node:timers/promises";

import { abortedError } from "../errors/air-error.js";
import { parseRetryAfter, retryDelayMs, type RetrySettings } from "../util/backoff.js";
import { formatBytes } from "../util/quantities.js";
import { describeUrl, HubError } from "./hub-error.js";
import { accessToken, endpointUrl, type PullSettings } from "./settings.js";
import { StallGuard } from "./stall-guard.js";

/** As many redirects as browsers of old followed; the hub makes one or two. */
const maxRedirects = 5;
/** The longest answer that is kept in memory: a page of a listing is well below. */
const maxTextBytes = 32 << 20;
/** A failure counts as the first one again once this much more has arrived. */
const progressBytes = 1 << 20;
const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** A response whose body is read under the eyes of the guard; release the guard in the end. */
export interface GuardedResponse {
  readonly response: Response;
  /** Where the response came from in the end. */
  readonly url: URL;
  readonly guard: StallGuard;
}

/** GET requests to a hub: with the token for its own origin only, retries, and an eye on connections that stall. */
export class HubConnection {
  readonly endpoint: URL;
  readonly #token: string | undefined;
  readonly #stallMs: number;
  readonly #retry: RetrySettings;
  readonly #signal: AbortSignal | undefined;

  /** @throws {AirArgumentError} AIR_ERR_ARGUMENT for an endpoint or token that cannot be used */
  constructor(settings: PullSettings) {
    this.endpoint = endpointUrl(settings.endpoint);
    this.#token = accessToken(settings.token);
    this.#stallMs = settings.stallSeconds * 1000;
    this.#retry = settings;
    this.#signal = settings.signal;
  }

  /** @throws {AirError} AIR_ERR_CANCELLED when the signal has aborted */
  throwIfAborted(): void {
    if (this.#signal?.aborted === true) throw abortedError(this.#signal);
  }

  /**
   * Makes attempts until one succeeds.
   *
   * @param reached - bytes that are safe by now, at their most; attempts that get further count as first ones
   * @throws {AirError} what the last attempt threw, AIR_ERR_CANCELLED when the signal aborts
   */
  async retrying<Result>(attempt: () => Promise<Result>, reached: () => number = () => 0): Promise<Result> {
    let attempts = 0;
    let reachedBytes = reached();
    for (;;) {
      this.throwIfAborted();
      try {
        return await attempt();
      } catch (thrown) {
        this.throwIfAborted();
        if (!(thrown instanceof HubError) || !thrown.isTransient) throw thrown;
        if (reached() >= reachedBytes + progressBytes) {
          attempts = 0;
          reachedBytes = reached();
        }
        attempts += 1;
        const { retryAfterMs } = thrown;
        const state = { attempts, retryAfterMs, remainingMs: Infinity, random: Math.random() };
        const delayMs = retryDelayMs(this.#retry, state);
        if (delayMs === undefined) throw thrown;
        await this.pause(delayMs);
      }
    }
  }

  /** @throws {AirError} AIR_ERR_CANCELLED when the signal aborts */
  async pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#signal }).catch(() => {
      this.throwIfAborted();
    });
  }

  /**
   * One GET, redirects included. The statuses that `accept` lists are for the caller to judge, like all below 300.
   *
   * @throws {HubError} AIR_ERR_HUB, AIR_ERR_HUB_ACCESS, AIR_ERR_HUB_NOT_FOUND
   */
  async get(
    address: URL,
    headers: Readonly<Record<string, string>>,
    accept: readonly number[] = [],
  ): Promise<GuardedResponse> {
    const guard = new StallGuard(this.#stallMs, this.#signal);
    try {
      let url = address;
      for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
        const response = await this.#request(url, headers, guard);
        if (!redirectStatuses.has(response.status)) {
          if (!response.ok && !accept.includes(response.status)) throw this.#refusal(response, url);
          return { response, url, guard };
        }
        void response.body?.cancel().catch(() => undefined);
        url = redirectTarget(response, url);
      }
      throw new HubError(
        `expected at most ${maxRedirects} redirects for ${describeUrl(address)} but received another`,
      );
    } catch (thrown) {
      guard.release();
      throw thrown;
    }
  }

  /** One GET whose answer is text, with retries. */
  async getText(url: URL): Promise<{ readonly text: string; readonly headers: Headers }> {
    return this.retrying(async () => {
      const { response, url: final, guard } = await this.get(url, { accept: "application/json" });
      try {
        return { text: await readText(response, final, guard), headers: response.headers };
      } finally {
        guard.release();
      }
    });
  }

  async #request(url: URL, headers: Readonly<Record<string, string>>, guard: StallGuard): Promise<Response> {
    const isOwn = url.origin === this.endpoint.origin;
    try {
      return await fetch(url, {
        redirect: "manual",
        signal: guard.signal,
        headers: {
          ...headers,
          "user-agent": "air-runtime",
          // Ranges and lengths count bytes of the file, not of a compressed form.
          "accept-encoding": "identity",
          ...(isOwn && this.#token !== undefined && { authorization: `Bearer ${this.#token}` }),
        },
      });
    } catch (thrown) {
      throw guard.errorOf(thrown, url);
    }
  }

  /** What a status that is no success means. */
  #refusal(response: Response, url: URL): HubError {
    const { status, headers } = response;
    void response.body?.cancel().catch(() => undefined);
    const said = this.#said(headers);
    const retryAfterMs = parseRetryAfter(headers.get("retry-after"), Date.now());
    const wait =
      retryAfterMs === undefined ? "" : `, to be asked again in ${Math.ceil(retryAfterMs / 1000)} s`;
    const message = `expected an answer for ${describeUrl(url)} but received status ${status}${said}${wait}`;
    if (status === 408 || status === 429 || status >= 500)
      return new HubError(message, { isTransient: true, retryAfterMs });
    // Elsewhere than at the hub it is an address with a signature that ran out; the hub gives a new one.
    if (status === 401 || status === 403)
      return url.origin === this.endpoint.origin
        ? new HubError(message, { code: "AIR_ERR_HUB_ACCESS" })
        : new HubError(message, { isTransient: true });
    if (status === 404 || status === 410) return new HubError(message, { code: "AIR_ERR_HUB_NOT_FOUND" });
    return new HubError(message);
  }

  /** The hub's own words, if it has any; whatever they are, the token is not among them. */
  #said(headers: Headers): string {
    const words = headers.get("x-error-message") ?? headers.get("x-error-code");
    if (words === null) return "";
    const harmless = this.#token === undefined ? words : words.replaceAll(this.#token, "***");
    return ` (${harmless.replaceAll(/[^\x20-\x7e]/g, " ").slice(0, 300)})`;
  }
}

/** @throws {HubError} for one without an address, and for one that would leave TLS */
function redirectTarget(response: Response, from: URL): URL {
  const location = response.headers.get("location") ?? "";
  if (location === "" || !URL.canParse(location, from.href))
    throw new HubError(`expected an address for the redirect of ${describeUrl(from)} but received none`);
  const target = new URL(location, from.href);
  const isSafe = target.protocol === "https:" || (target.protocol === "http:" && from.protocol === "http:");
  if (!isSafe)
    throw new HubError(
      `expected a secure address for the redirect of ${describeUrl(from)} but received ${describeUrl(target)}`,
    );
  return target;
}

async function readText(response: Response, url: URL, guard: StallGuard): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response.body ?? []) {
      guard.touch();
      bytes += chunk.length;
      if (bytes > maxTextBytes) break;
      chunks.push(chunk);
    }
  } catch (thrown) {
    throw guard.errorOf(thrown, url);
  }
  if (bytes <= maxTextBytes) return Buffer.concat(chunks).toString("utf8");
  throw new HubError(
    `expected at most ${formatBytes(maxTextBytes)} for ${describeUrl(url)} but received more`,
  );
}
