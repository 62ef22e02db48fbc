import { once } from "node:events";
import path from "node:path";

import { Command } from "commander";

import { AirError, invalidArgument, ioError, reasonOf } from "../errors/air-error.js";
import type { AirServer } from "../server/server.js";
import type { ServerOptions } from "../server/server-options.js";
import { AirRuntime } from "../tiers/air-runtime.js";
import { parseConfig, readConfig, type ResolvedConfig } from "../tiers/config.js";
import { pickGiven } from "../util/options.js";
import type { CliIo } from "./io.js";
import { modelFile } from "./load.js";
import { addModelOptions, integer, toLoadOptions } from "./options.js";
import { addServerOptions, type ServeOptions, serverOptions } from "./serve-options.js";

const examples = `
The server speaks the OpenAI API at /v1; /docs lists what it answers. docs/server.md explains keys, limits and
shutting down. Without -m and --config it serves the bundled demo model.

Examples:
  air serve -m model.gguf
  air serve --config air.config.json --port 9000
  air serve -m model.gguf --host 0.0.0.0 --api-key-file keys.txt --rate-limit 60`;

/** Options that make a tier of -m, and that a configuration file says itself. */
const tierFlags = {
  ...{ model: "-m", ctx: "--ctx", window: "--window", sinks: "--sinks", heads: "--heads", draft: "--draft" },
  ...{ parallel: "--parallel", maxWaiting: "--max-waiting", kvTokens: "--kv-tokens", threads: "--threads" },
  ...{ cpuList: "--cpu-list", priority: "--priority", rotateKeys: "--rotate-keys", force: "--force" },
} as const;

/** A configuration of one tier, which is named after the model's file. */
function configOf(io: CliIo, options: ServeOptions, file: string): ResolvedConfig {
  const { force = false, ...load } = toLoadOptions(options);
  return parseConfig({
    tiers: [
      {
        name: path.basename(modelFile(io, options.model)).replace(/\.gguf$/i, ""),
        model: file,
        ...load,
        ...pickGiven(options, ["draft", "maxWaiting", "kvTokens"]),
        ...(options.parallel !== undefined && { maxConcurrent: options.parallel }),
        idleUnloadSeconds: 0,
      },
    ],
    // A budget takes the place of the check of what is available.
    ...(force && { memory: Number.MAX_SAFE_INTEGER }),
  });
}

async function resolveConfig(io: CliIo, options: ServeOptions): Promise<ResolvedConfig> {
  if (options.config === undefined) return configOf(io, options, modelFile(io, options.model));
  for (const [name, flag] of Object.entries(tierFlags)) {
    const value = options[name as keyof typeof tierFlags];
    if (value !== undefined) throw invalidArgument(flag, "no value beside --config", value);
  }
  return readConfig(options.config);
}

/** @throws {AirError} AIR_ERR_IO when the address cannot be listened at, AIR_ERR_ARGUMENT for a certificate that is none */
async function startServer(
  runtime: AirRuntime,
  options: ServerOptions,
  host: string,
  port: number,
): Promise<AirServer> {
  const { createServer } = await import("../server/server.js");
  let server: AirServer;
  try {
    server = createServer(runtime, options);
  } catch (cause) {
    if (cause instanceof AirError) throw cause;
    throw invalidArgument("--tls-cert and --tls-key", "a certificate and its key", reasonOf(cause));
  }
  try {
    await server.listen({ host, port });
    return server;
  } catch (cause) {
    await server.close();
    throw ioError(`${host}:${port}`, "an address to listen at", cause);
  }
}

/** Ctrl-C, or SIGTERM; a second SIGTERM ends the process, as it does without us. */
async function waitForEnd(signal: AbortSignal): Promise<void> {
  const terminated = new AbortController();
  const onTerminate = (): void => {
    terminated.abort();
  };
  process.once("SIGTERM", onTerminate);
  const either = AbortSignal.any([signal, terminated.signal]);
  if (!either.aborted) await once(either, "abort");
  process.off("SIGTERM", onTerminate);
}

/** The runtime of --canary, with its models loaded; its models go when it is taken back. */
async function createCandidate(
  io: CliIo,
  options: ServeOptions,
  { logger }: ServerOptions,
): Promise<AsyncDisposable & { readonly options: Pick<ServerOptions, "canary"> }> {
  const { canary: file, canaryShare: share, config } = options;
  if (file === undefined) {
    if (share === undefined) return { options: {}, [Symbol.asyncDispose]: () => Promise.resolve() };
    throw invalidArgument("--canary-share", "--canary beside it", share);
  }
  const candidate = await AirRuntime.create(
    config === undefined ? configOf(io, options, file) : await readConfig(file),
    {
      onEvent: (event) => {
        logger?.info({ ...event, version: "candidate" }, "runtime");
      },
    },
  );
  const onRollback = (): void => {
    for (const tier of candidate.localTierNames) candidate.unload(tier);
  };
  try {
    const [smallest] = candidate.localTierNames;
    if (smallest !== undefined) await candidate.load(smallest);
  } catch (error) {
    await candidate.close();
    throw error;
  }
  return {
    options: { canary: { runtime: candidate, onRollback, ...(share !== undefined && { share }) } },
    [Symbol.asyncDispose]: () => candidate.close(),
  };
}

async function serve(io: CliIo, options: ServeOptions): Promise<void> {
  const { host, port, apiKeyFile } = options;
  const resolved = await serverOptions(io, options);
  const config = await resolveConfig(io, options);
  const ended = waitForEnd(io.signal);
  await using runtime = await AirRuntime.create(config, {
    onEvent: (event) => {
      resolved.logger?.info(event, "runtime");
    },
  });
  await using candidate = await createCandidate(io, options, resolved);
  const server = await startServer(runtime, { ...resolved, ...candidate.options }, host, port);
  if (apiKeyFile === undefined && !["127.0.0.1", "::1", "localhost"].includes(host)) {
    resolved.logger?.warn(
      "anybody who can reach this address may use the model (--api-key-file asks for keys)",
    );
  }
  try {
    // Ready once the smallest model is; larger ones are loaded when they are needed, or as the configuration says.
    const [smallest] = runtime.localTierNames;
    const loading = smallest === undefined ? Promise.resolve() : runtime.load(smallest);
    await Promise.race([loading, ended]);
    await ended;
  } finally {
    resolved.logger?.info("finishing what was begun");
    await server.drain();
  }
}

/** `air serve`: an OpenAI-compatible server. */
export function serveCommand(io: CliIo): Command {
  const command = new Command("serve")
    .summary("serve models to clients of the OpenAI API")
    .description("Serves a model, or the tiers of a configuration, to clients of the OpenAI API.")
    .option("--config <file>", "configuration of the tiers, in place of -m and its options");
  addModelOptions(command)
    .option("--draft <file>", "smaller model of the same vocabulary that guesses ahead")
    .option("--parallel <n>", "answers at a time (default: 4)", integer("--parallel", { min: 1, max: 256 }))
    .option(
      "--max-waiting <n>",
      "requests that may wait; one more gets 503 (default: 64)",
      integer("--max-waiting", { min: 0, max: 65536 }),
    )
    .option(
      "--kv-tokens <n>",
      "tokens of KV cache that all answers share (default: one context)",
      integer("--kv-tokens", { min: 1, max: 2 ** 30 }),
    );
  return addServerOptions(command)
    .addHelpText("after", examples)
    .action((options: ServeOptions) => serve(io, options));
}
