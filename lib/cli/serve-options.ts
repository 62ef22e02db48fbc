import type { Command } from "commander";

import { invalidArgument } from "../errors/air-error.js";
import { readTextFile } from "../util/text-file.js";
import type { ServerOptions } from "../server/server-options.js";
import type { CliIo } from "./io.js";
import { byteSize, integer, maxTokens, type ModelOptions } from "./options.js";

/** Options of `air serve`. */
export interface ServeOptions extends ModelOptions {
  readonly config?: string;
  readonly draft?: string;
  readonly parallel?: number;
  readonly maxWaiting?: number;
  readonly kvTokens?: number;
  readonly host: string;
  readonly port: number;
  readonly apiKeyFile?: string;
  readonly rateLimit?: number;
  readonly cors?: readonly string[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly maxBody?: number;
  readonly maxTokens?: number;
  readonly maxPrompt?: number;
  readonly drain: number;
  readonly jsonLogs?: boolean;
  readonly page: boolean;
  readonly answerTimeout?: number;
  /** A number of seconds, or false. */
  readonly golden?: boolean | number;
  readonly goldenFile?: string;
  readonly canary?: string;
  readonly canaryShare?: number;
  readonly requestLog?: string;
  readonly logConsent?: boolean;
  readonly logTexts?: boolean;
}

function goldenOf({ golden = true, goldenFile }: ServeOptions): NonNullable<ServerOptions["golden"]> {
  if (golden === false) return false;
  return {
    ...(typeof golden === "number" && { intervalMs: golden * 1000 }),
    ...(goldenFile !== undefined && { baselineFile: goldenFile }),
  };
}

/** The log of requests, which nobody gets by one option alone. */
function requestLogOf({ requestLog, logConsent, logTexts }: ServeOptions): ServerOptions["requestLog"] {
  if (requestLog === undefined) {
    if (logConsent === true || logTexts === true) {
      throw invalidArgument("--log-consent and --log-texts", "--request-log beside them", undefined);
    }
    return undefined;
  }
  if (logConsent !== true) {
    throw invalidArgument(
      "--request-log",
      "--log-consent, which says that those whose requests are written down have agreed to it",
      undefined,
    );
  }
  return { directory: requestLog, consent: true, texts: logTexts === true };
}

/** What of the options is the server's; a canary takes a runtime, and comes later. */
export async function serverOptions(io: CliIo, options: ServeOptions): Promise<ServerOptions> {
  const { readApiKeys } = await import("../server/api-keys.js");
  const { createLogger } = await import("./server-log.js");
  const { tlsCert, tlsKey, apiKeyFile, rateLimit } = options;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw invalidArgument("--tls-cert and --tls-key", "both or none", tlsCert ?? tlsKey);
  }
  const requestLog = requestLogOf(options);
  return {
    golden: goldenOf(options),
    ...(requestLog !== undefined && { requestLog }),
    ...(options.answerTimeout !== undefined && { maxAnswerMs: options.answerTimeout * 1000 }),
    ...(apiKeyFile !== undefined && { apiKeys: await readApiKeys(apiKeyFile) }),
    ...(rateLimit !== undefined && { rateLimit: { requests: rateLimit } }),
    ...(options.cors !== undefined && { corsOrigins: options.cors }),
    ...(tlsCert !== undefined &&
      tlsKey !== undefined && {
        tls: {
          cert: await readTextFile(tlsCert, "a readable PEM file"),
          key: await readTextFile(tlsKey, "a readable PEM file"),
        },
      }),
    ...(options.maxBody !== undefined && { maxBodyBytes: options.maxBody }),
    ...(options.maxTokens !== undefined && { maxAnswerTokens: options.maxTokens }),
    ...(options.maxPrompt !== undefined && { maxPromptTokens: options.maxPrompt }),
    drainMs: options.drain * 1000,
    page: options.page,
    logger: createLogger(io, options.jsonLogs === true),
  };
}

/** A parser of parts above 0. */
function part(flag: string, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (value > 0 && value <= max) return value;
    throw invalidArgument(flag, `a number above 0 and up to ${max}`, text);
  };
}

/** The options of a server, other than those of models. */
export function addServerOptions(command: Command): Command {
  const collect = (text: string, previous: readonly string[] = []): readonly string[] => [...previous, text];
  return command
    .option("--host <address>", "address to listen at; 0.0.0.0 is all of them", "127.0.0.1")
    .option("--port <n>", "port; 0 takes a free one", integer("--port", { min: 0, max: 65535 }), 8080)
    .option("--api-key-file <file>", "SHA-256 hashes of the keys that clients need, one per line")
    .option(
      "--rate-limit <n>",
      "requests per minute of a key, or of an address",
      integer("--rate-limit", { min: 1, max: 1e9 }),
    )
    .option("--cors <origin>", "pages of this origin may call; may be given more than once", collect)
    .option("--tls-cert <file>", "PEM certificate, for HTTPS")
    .option("--tls-key <file>", "its PEM key")
    .option("--max-body <size>", "largest body of a request (default: 4MiB)", byteSize("--max-body"))
    .option(
      "--max-tokens <n>",
      "most tokens of an answer (default: 32768)",
      integer("--max-tokens", { min: 1, max: maxTokens }),
    )
    .option(
      "--max-prompt <n>",
      "most tokens of a prompt (default: what the context holds)",
      integer("--max-prompt", { min: 1, max: maxTokens }),
    )
    .option(
      "--drain <seconds>",
      "time that requests get to finish after SIGTERM",
      integer("--drain", { min: 0, max: 3600 }),
      30,
    )
    .option(
      "--answer-timeout <seconds>",
      "time after which an unfinished answer is given up (default: none)",
      integer("--answer-timeout", { min: 1, max: 86_400 }),
    )
    .option(
      "--golden <seconds>",
      "ask models the same thing this often, and compare (default: 300)",
      integer("--golden", { min: 1, max: 86_400 }),
    )
    .option("--no-golden", "do not")
    .option("--golden-file <file>", "what models have to say, from one run to the next")
    .option(
      "--canary <file>",
      "second version, which gets a share of the requests: like -m, or like --config",
    )
    .option("--canary-share <part>", "that share, up to 0.5 (default: 0.05)", part("--canary-share", 0.5))
    .option("--request-log <directory>", "write down on this machine what came of requests, for a day")
    .option("--log-consent", "those whose requests are written down have agreed to it")
    .option("--log-texts", "write their texts down, too")
    .option("--no-page", "no page at /, and none of the figures that it shows")
    .option("--json-logs", "log one JSON object per line");
}
