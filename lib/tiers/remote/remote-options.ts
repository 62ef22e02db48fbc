import { z } from "zod";

import { integerFrom } from "../../util/options.js";
import { type BreakerSettings, breakerShape } from "../circuit-breaker.js";

/** Options of a {@link RemoteTier}. */
export interface RemoteTierOptions {
  /** Name of the tier, for decisions, errors and statistics. */
  readonly name: string;
  /** Base URL that /chat/completions is appended to, such as https://host/v1. */
  readonly url: string;
  /** Name of the model at the endpoint. */
  readonly model: string;
  /** Name of the environment variable that holds the key: capitals, digits and underscores. Default: no key is sent. */
  readonly keyEnv?: string;
  /** Header that carries the key. Default `authorization`, as `Bearer KEY`; in any other, the key stands alone. */
  readonly keyHeader?: string;
  /** Further headers, none of them secret. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds from start() to the first event of the answer, retries included, 1 to 300000. Default 30000. */
  readonly timeoutMs?: number;
  /** Milliseconds between events of the answer, 1 to 300000. Default 30000. */
  readonly idleTimeoutMs?: number;
  /** How often a request that failed before any text came is sent again, 0 to 10. Default 2. */
  readonly retries?: number;
  /** Longest pause before the first retry, in milliseconds; it doubles with each. Default 250. */
  readonly retryBaseMs?: number;
  /** The longest Retry-After that is waited for, in milliseconds; longer ones fail at once. Default 5000. */
  readonly retryAfterLimitMs?: number;
  /** Default: 5 failures within 60000 ms open it for 30000 ms. */
  readonly breaker?: Partial<BreakerSettings>;
  /** Ask for the answer as it is written. False for endpoints that cannot; timeoutMs is then for all of it. Default true. */
  readonly stream?: boolean;
  /** Ask for token counts at the end of a stream; false for endpoints that refuse `stream_options`. Default true. */
  readonly usage?: boolean;
  /** What the endpoint calls the most tokens of an answer. Default `max_tokens`. */
  readonly maxTokensField?: "max_tokens" | "max_completion_tokens";
  /** Further fields of each request, such as `chat_template_kwargs` for vLLM. What a request says itself wins. */
  readonly extraBody?: Readonly<Record<string, unknown>>;
}

const urlExpected = "an http or https URL such as https://host/v1";

/** User and password, a query, a fragment: the first three may be secrets, and the last is never sent. */
const extraUrlParts = /[@?#]/;

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && ["http:", "https:"].includes(new URL(text).protocol);
}

const reservedHeaders: ReadonlySet<string> = new Set([
  ..."authorization proxy-authorization cookie api-key x-api-key".split(" "),
  ..."host connection content-length content-type transfer-encoding accept accept-encoding".split(" "),
]);

/** RFC 9110, section 5.6.2. */
const headerName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

function areHeaders(value: unknown): value is Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(
    ([name, text]) =>
      headerName.test(name) &&
      !reservedHeaders.has(name.toLowerCase()) &&
      typeof text === "string" &&
      /^[\t\x20-\x7e]*$/.test(text),
  );
}

/** The longest that a timeout may be: the HTTP client of Node gives up after as long by itself. */
const maxTimeoutMs = 300_000;
const truth = (): z.ZodBoolean => z.boolean("true or false");

const breakerSchema = z.strictObject(breakerShape, "an object");

/**
 * Validates {@link RemoteTierOptions} and fills in defaults. Issues about values that may hold a secret (a password in the
 * URL, a key where the name of its variable belongs) are about the whole object, so that no message repeats the value.
 */
export const remoteTierSchema = z
  .strictObject(
    {
      name: z.string("a name").min(1, "a name"),
      url: z.string(urlExpected).refine((url) => extraUrlParts.test(url) || isHttpUrl(url), urlExpected),
      model: z.string("the name of a model").min(1, "the name of a model"),
      keyEnv: z.unknown().optional(),
      keyHeader: z
        .string("the name of a header")
        .regex(headerName, "the name of a header")
        .default("authorization"),
      headers: z
        .custom<Readonly<Record<string, string>>>(
          areHeaders,
          "an object of header names and ASCII texts, without those that carry keys or describe the body",
        )
        .default({}),
      timeoutMs: integerFrom(1, maxTimeoutMs).default(30_000),
      idleTimeoutMs: integerFrom(1, maxTimeoutMs).default(30_000),
      retries: integerFrom(0, 10).default(2),
      retryBaseMs: integerFrom(0, 60_000).default(250),
      retryAfterLimitMs: integerFrom(0, maxTimeoutMs).default(5000),
      breaker: breakerSchema.prefault({}),
      stream: truth().default(true),
      usage: truth().default(true),
      maxTokensField: z
        .enum(["max_tokens", "max_completion_tokens"], '"max_tokens" or "max_completion_tokens"')
        .default("max_tokens"),
      extraBody: z.record(z.string(), z.unknown(), "an object").default({}),
    },
    "an object",
  )
  .refine(({ url }) => !extraUrlParts.test(url), "a url without user, password, query and fragment")
  .refine(
    ({ keyEnv }) => keyEnv === undefined || (typeof keyEnv === "string" && /^[A-Z_][A-Z0-9_]*$/.test(keyEnv)),
    "a keyEnv of capitals, digits and underscores (the name of the variable, not the key)",
  )
  .transform(({ keyEnv, ...rest }) => ({ ...rest, keyEnv: keyEnv as string | undefined }));

/** {@link RemoteTierOptions} with defaults. */
export type ResolvedRemoteTierOptions = z.output<typeof remoteTierSchema>;
