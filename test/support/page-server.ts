/** A server with two tiers for tests of the page, and for its picture. */
import { join } from "node:path";

import { type AirServer, createServer } from "../../lib/server/server.js";
import type { ServedRuntime } from "../../lib/server/served-runtime.js";
import type { ServerOptions } from "../../lib/server/server-options.js";
import type { SensorReading } from "../../lib/tiers/sensors.js";
import { writeStreamHeads } from "./stream-heads.js";
import { createRuntime, largeFile, smallFile, twoTiers } from "./tier-runtime.js";

/** What the sensors of these tests say. */
export const warm: SensorReading = {
  ...{ memory: 0.3, heat: 0.2, isThrottling: false, watts: 6.4 },
  hottest: { name: "cpu-thermal", celsius: 61.5, limitCelsius: 85 },
};

/** Every answer with two guesses a step, so that no measured time decides whether there are any. */
const guessing = { proposers: ["draft-model"], maxDraftTokens: 2, adaptive: false } as const;

function withGuesses(runtime: ServedRuntime): ServedRuntime {
  return new Proxy(runtime, {
    get: (target, name) => {
      if (name === "generate") {
        const generate: ServedRuntime["generate"] = (input, options) =>
          target.generate(input, {
            ...options,
            ...(options?.speculation !== "off" && options?.tier === "large" && { speculation: guessing }),
          });
        return generate;
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

/** A server that listens, and the end of it and its runtime. */
export interface PageServer {
  readonly server: AirServer;
  readonly url: string;
  readonly runtime: ServedRuntime;
  readonly close: () => Promise<void>;
}

/** Lets a server listen at a free port of this machine. */
export async function listen(server: AirServer): Promise<string> {
  return server.listen({ host: "127.0.0.1", port: 0 });
}

/**
 * Serves two bundled models, the large one with heads of both classes and a draft model that guesses.
 *
 * @param folder - for a heads file
 */
export async function startPageServer(folder: string, options: ServerOptions = {}): Promise<PageServer> {
  const heads = join(folder, "heads.json");
  await writeStreamHeads(largeFile, heads);
  const tiers = twoTiers({ preload: true }, {}, { draft: smallFile, heads, kvTokens: 2048 });
  const runtime = await createRuntime(tiers, { sensors: { read: () => warm } });
  const served = withGuesses(runtime);
  const server = createServer(served, options);
  const url = await listen(server);
  const close = async (): Promise<void> => {
    await server.drain(0);
    await runtime.close();
  };
  return { server, url, runtime: served, close };
}
