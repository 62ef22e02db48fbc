import type { FastifyBaseLogger } from "fastify";
import { z } from "zod";

import { integerFrom, parseOptions } from "../util/options.js";
import type { ApiKey } from "./api-keys.js";

/** Options of createServer(). */
export interface ServerOptions {
  /** Keys of which every request under /v1, /tokenize and /metrics has to bring one. Default: none is asked for. */
  readonly apiKeys?: readonly ApiKey[];
  /** Requests of a key (without keys: of an address) in a window of time. Default: no limit. */
  readonly rateLimit?: { readonly requests: number; readonly windowMs?: number };
  /** Pages of these origins may call the server; `*` lets all. Default: none. */
  readonly corsOrigins?: readonly string[];
  /** PEM texts. Default: plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Largest body of a request. Default 4 MiB. */
  readonly maxBodyBytes?: number;
  /** Most brackets that a body may nest. Default 64. */
  readonly maxBodyDepth?: number;
  /** Most tokens of an answer. Default 32,768. */
  readonly maxAnswerTokens?: number;
  /** Most tokens of a prompt. Default: what the context holds. */
  readonly maxPromptTokens?: number;
  /** Most answers of one request (`n`, times the prompts of a completion). Default 8. */
  readonly maxChoices?: number;
  /** Milliseconds in which a request has to be sent. Default 30,000. */
  readonly requestTimeoutMs?: number;
  /** Milliseconds that requests get to finish when the server closes. Default 30,000. */
  readonly drainMs?: number;
  /** Beyond these, requests are refused; 0 is no limit. Default: 2,000 ms of event-loop delay. */
  readonly pressure?: {
    readonly maxEventLoopDelayMs?: number;
    readonly maxHeapBytes?: number;
    readonly maxResidentBytes?: number;
  };
  /** The page at `/`, and GET /air/live, which it reads. Default true. */
  readonly page?: boolean;
  /** A pino logger, or one like it. Default: none. */
  readonly logger?: FastifyBaseLogger;
}

const text = z.string("a string").min(1, "a non-empty string");

const serverSchema = z.strictObject(
  {
    apiKeys: z
      .array(
        z.object(
          { hash: z.instanceof(Uint8Array, { error: "32 bytes" }), name: text, tenant: text.optional() },
          "an API key",
        ),
        "an array of API keys",
      )
      .min(1, "at least one API key")
      .optional(),
    rateLimit: z
      .strictObject(
        { requests: integerFrom(1, 1e9), windowMs: integerFrom(100, 86_400_000).default(60_000) },
        "an object",
      )
      .optional(),
    corsOrigins: z.array(text, "an array of origins").default([]),
    tls: z.strictObject({ cert: text, key: text }, "an object with cert and key").optional(),
    maxBodyBytes: integerFrom(1, 2 ** 30).default(4 * 2 ** 20),
    maxBodyDepth: integerFrom(1, 1000).default(64),
    maxAnswerTokens: integerFrom(1).default(32_768),
    maxPromptTokens: integerFrom(1).optional(),
    maxChoices: integerFrom(1, 128).default(8),
    requestTimeoutMs: integerFrom(100, 3_600_000).default(30_000),
    drainMs: integerFrom(0, 3_600_000).default(30_000),
    pressure: z
      .strictObject(
        {
          maxEventLoopDelayMs: integerFrom(0).default(2000),
          maxHeapBytes: integerFrom(0).default(0),
          maxResidentBytes: integerFrom(0).default(0),
        },
        "an object",
      )
      .prefault({}),
    page: z.boolean("true or false").default(true),
    logger: z
      .custom<FastifyBaseLogger>(
        (value) => typeof value === "object" && value !== null && "info" in value,
        "a pino logger",
      )
      .optional(),
  },
  "an object",
);

/** {@link ServerOptions} with defaults. */
export type ResolvedServerOptions = z.output<typeof serverSchema>;

/** @throws {AirArgumentError} AIR_ERR_ARGUMENT */
export function resolveServerOptions(options: ServerOptions): ResolvedServerOptions {
  return parseOptions(serverSchema, options, "server options");
}
