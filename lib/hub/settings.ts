import os from "node:os";
import path from "node:path";

import { z } from "zod";

import { invalidArgument } from "../errors/air-error.js";
import { integerFrom, numberFrom, parseOptions } from "../util/options.js";

/** How far a pull is. */
export interface PullProgress {
  /** `waiting`: another process pulls the same model. */
  readonly phase: "waiting" | "downloading" | "verifying";
  /** Bytes of all files of the model that are here. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

const nonEmpty = (expected: string): z.ZodString => z.string(expected).min(1, expected);

const optionsSchema = z.strictObject(
  {
    revision: nonEmpty("a branch, tag or commit").optional(),
    folder: nonEmpty("a folder").optional(),
    endpoint: nonEmpty("an address").optional(),
    token: nonEmpty("a token").optional(),
    offline: z.boolean("true or false").optional(),
    retries: integerFrom(0, 100).default(5),
    retryBaseMs: numberFrom(1, 60_000).default(1000),
    retryAfterLimitMs: numberFrom(0, 3_600_000).default(120_000),
    stallSeconds: numberFrom(0.05, 3600).default(30),
    onProgress: z
      .custom<(progress: PullProgress) => void>((value) => typeof value === "function", "a function")
      .optional(),
    signal: z.instanceof(AbortSignal, { error: "an AbortSignal" }).optional(),
  },
  "an object",
);

/** Options of {@link pullModel}. */
export interface PullOptions {
  /** Branch, tag or commit. Default: `main`. What it is now gets resolved to a commit, which is recorded. */
  readonly revision?: string;
  /** The model folder. Default: AIR_MODELS, else `air-runtime/models` in XDG_DATA_HOME (`~/.local/share`). */
  readonly folder?: string;
  /** Default: HF_ENDPOINT, else `https://huggingface.co`. */
  readonly endpoint?: string;
  /** Sent to the endpoint and to nobody else; never stored. Default: HF_TOKEN, else none. */
  readonly token?: string;
  /** Use no network: find the model here or fail. Default: what HF_HUB_OFFLINE says. */
  readonly offline?: boolean;
  /** Attempts after a first one that failed without getting any further. 0 to 100, default 5. */
  readonly retries?: number;
  /** The first pause between attempts is at most this long; every later one twice as long, 8000 at most. Default 1000. */
  readonly retryBaseMs?: number;
  /** The longest Retry-After that is waited for; longer ones fail at once. Default 120000. */
  readonly retryAfterLimitMs?: number;
  /** A connection over which nothing comes for so long counts as broken. Default 30. */
  readonly stallSeconds?: number;
  readonly onProgress?: (progress: PullProgress) => void;
  readonly signal?: AbortSignal;
}

/** What a pull goes by, environment included. */
export interface PullSettings extends z.output<typeof optionsSchema> {
  readonly folder: string;
  readonly offline: boolean;
}

/** A variable that is set to something; an empty one counts as absent. */
function variable(name: string): string | undefined {
  const value = process.env[name]?.trim();
  return value === "" ? undefined : value;
}

/** Where pulled models are: AIR_MODELS, else `air-runtime/models` in XDG_DATA_HOME. */
export function modelFolder(): string {
  const own = variable("AIR_MODELS");
  if (own !== undefined) return path.resolve(own);
  const data = variable("XDG_DATA_HOME");
  // The XDG base directory specification tells to ignore relative paths.
  const base =
    data !== undefined && path.isAbsolute(data) ? data : path.join(os.homedir(), ".local", "share");
  return path.join(base, "air-runtime", "models");
}

/** The words for "yes" that huggingface_hub knows. */
function isOffline(): boolean {
  return ["1", "on", "yes", "true"].includes(variable("HF_HUB_OFFLINE")?.toLowerCase() ?? "");
}

/**
 * Options with what the environment says where they are silent.
 *
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT
 */
export function pullSettings(options: PullOptions): PullSettings {
  const given = parseOptions(optionsSchema, options, "the options of pullModel()");
  return {
    ...given,
    folder: given.folder === undefined ? modelFolder() : path.resolve(given.folder),
    offline: given.offline ?? isOffline(),
  };
}

/** @throws {AirArgumentError} AIR_ERR_ARGUMENT for what is no address, or one with a password in it */
export function endpointUrl(endpoint: string | undefined): URL {
  const text = endpoint ?? variable("HF_ENDPOINT") ?? "https://huggingface.co";
  const expected = "an address such as https://huggingface.co";
  if (!URL.canParse(text)) throw invalidArgument("HF_ENDPOINT", expected, text);
  const url = new URL(text.replace(/\/+$/, ""));
  if (url.username !== "" || url.password !== "")
    throw invalidArgument("HF_ENDPOINT", `${expected}, without a name or password`, "one that has them");
  if (!/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "")
    throw invalidArgument("HF_ENDPOINT", expected, text);
  return url;
}

/** @throws {AirArgumentError} AIR_ERR_ARGUMENT, without the token, for what cannot be sent */
export function accessToken(token: string | undefined): string | undefined {
  const text = token ?? variable("HF_TOKEN");
  if (text !== undefined && !/^[\x21-\x7e]+$/.test(text))
    throw invalidArgument("HF_TOKEN", "printable characters without spaces", "others");
  return text;
}
