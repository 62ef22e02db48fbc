import type { FastifyBaseLogger } from "fastify";
import { z } from "zod";

import { longestTimeoutMs } from "../runtime/options.js";
import { integerFrom, numberFrom, parseOptions, pickGiven } from "../util/options.js";
import type { ApiKey } from "./api-keys.js";
import type { CanaryOptions } from "./canary.js";
import type { RequestLogOptions } from "./request-log.js";
import type { ServedRuntime } from "./served-runtime.js";

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
  /** Milliseconds after which an unfinished answer is given up; requests may ask for less. Default: no limit. */
  readonly maxAnswerMs?: number;
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
  /**
   * Asks every loaded model the same thing at intervals, and compares the ids of its answer. Default: every 5 minutes;
   * false asks nothing.
   */
  readonly golden?: false | GoldenOptions;
  /** A second version of what is served, which gets a share of the requests. Default: none. */
  readonly canary?: CanaryOptions;
  /** Write requests down on this machine. Default: nothing is written. */
  readonly requestLog?: RequestLogOptions;
  /** A pino logger, or one like it. Default: none. */
  readonly logger?: FastifyBaseLogger;
}

/** How models are asked the same thing again and again. */
export interface GoldenOptions {
  /** From one check to the next. Default 300,000. */
  readonly intervalMs?: number;
  /** File of what models have to say, made if it is missing. Default: what they say first. */
  readonly baselineFile?: string;
  readonly prompt?: string;
  /** Default 24. */
  readonly maxTokens?: number;
  /** Time that an answer may take; one that is late says nothing. Default 60,000. */
  readonly timeoutMs?: number;
}

const text = z.string("a string").min(1, "a non-empty string");

const canaryNames = [
  ...(["share", "minRequests", "maxLogprobDrop", "maxLatencyRatio", "maxFailureRate", "onRollback"] as const),
];

const serverSchema = z.strictObject(
  {
    apiKeys: z
      .array(
        z.object(
          {
            ...{ hash: z.instanceof(Uint8Array, { error: "32 bytes" }), name: text, tenant: text.optional() },
            priority: integerFrom(-100, 100).optional(),
          },
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
    maxAnswerMs: integerFrom(1, longestTimeoutMs).optional(),
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
    golden: z
      .union(
        [
          z.literal(false),
          z.strictObject({
            intervalMs: integerFrom(100, longestTimeoutMs).default(300_000),
            baselineFile: text.optional(),
            prompt: text.default("The quick brown fox jumps over the lazy dog. One, two, three,"),
            maxTokens: integerFrom(1, 1024).default(24),
            timeoutMs: integerFrom(1, longestTimeoutMs).default(60_000),
          }),
        ],
        "false or an object of golden options",
      )
      .prefault({}),
    canary: z
      .strictObject(
        {
          runtime: z.custom<ServedRuntime>(
            (value) => typeof value === "object" && value !== null && "generate" in value,
            "a runtime",
          ),
          share: z.number("a number").gt(0, "a number above 0").max(0.5, "at most 0.5").optional(),
          minRequests: integerFrom(2).optional(),
          maxLogprobDrop: numberFrom(0, 100).optional(),
          maxLatencyRatio: numberFrom(1, 1000).optional(),
          maxFailureRate: numberFrom(0, 1).optional(),
          onRollback: z.custom<(reason: string) => void>((value) => typeof value === "function").optional(),
        },
        "an object of canary options",
      )
      .transform((value): CanaryOptions => ({ ...pickGiven(value, canaryNames), runtime: value.runtime }))
      .optional(),
    requestLog: z
      .strictObject(
        {
          directory: text,
          consent: z.literal(true, "true: those whose requests are written down have agreed to it"),
          texts: z.boolean("true or false").default(false),
          maxBytes: integerFrom(4096).default(64 * 2 ** 20),
          retentionMs: integerFrom(60_000, 86_400_000).default(86_400_000),
        },
        "an object of log options",
      )
      .optional(),
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
