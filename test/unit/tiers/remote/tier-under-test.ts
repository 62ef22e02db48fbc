import { afterEach, beforeEach } from "vitest";

import type { RemoteEnvironment } from "../../../../lib/tiers/remote/endpoint.js";
import type { RemoteTierOptions } from "../../../../lib/tiers/remote/remote-options.js";
import { RemoteTier } from "../../../../lib/tiers/remote/remote-tier.js";
import type { Generation } from "../../../../lib/runtime/generation.js";
import { OpenAiStub } from "../../../support/openai-stub.js";

/** A stub for each test of a file, and tiers that talk to it. */
export function useStub() {
  let current: OpenAiStub | undefined;
  const tiers: RemoteTier[] = [];
  beforeEach(async () => {
    current = await OpenAiStub.start();
  });
  afterEach(async () => {
    for (const tier of tiers.splice(0)) tier.close();
    await current?.close();
  });
  const stub = (): OpenAiStub => {
    if (current === undefined) throw new Error("no test is running");
    return current;
  };
  /** Pauses between attempts are over at once; their lengths are in `pauses`. */
  const makeTier = (
    options: Partial<RemoteTierOptions> = {},
    environment: Partial<RemoteEnvironment> = {},
  ) => {
    const pauses: number[] = [];
    const tier = new RemoteTier(
      { name: "cloud", url: stub().url, model: "large", ...options },
      {
        random: () => 0.5,
        sleep: (milliseconds) => {
          pauses.push(milliseconds);
          return Promise.resolve();
        },
        ...environment,
      },
    );
    tiers.push(tier);
    return { tier, pauses };
  };
  return { stub, makeTier };
}

/** What a reader sees of a generation: the chunks, and the error that ended them. */
export async function readAll(generation: Generation) {
  const texts: string[] = [];
  let error: unknown;
  try {
    for await (const { text } of generation) texts.push(text);
  } catch (thrown) {
    error = thrown;
  }
  return { texts, text: texts.join(""), error };
}
