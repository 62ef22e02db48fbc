import { TokenRate } from "../routing/prediction.js";
import type { TierState } from "../routing/decision.js";
import { RemoteTier } from "./remote/remote-tier.js";
import type { ResolvedRemoteTierOptions } from "./remote/remote-options.js";
import type { OpenAnswer, Tier, TierRequest, TierStats } from "./tier.js";

/** Tokens per second of an endpoint before anything is measured. */
const assumedRates = { prefill: 2000, decode: 40 } as const;
/** An endpoint says no limit of its own. */
const assumedContextTokens = 131_072;

/** A remote tier among others. */
export class RemoteMember implements Tier {
  readonly name: string;
  readonly kind = "remote";
  readonly refusesNow = false;
  readonly remote: RemoteTier;
  readonly #prefill = new TokenRate(assumedRates.prefill, 4096);
  readonly #decode = new TokenRate(assumedRates.decode, 1024);
  #active = 0;

  constructor(options: ResolvedRemoteTierOptions) {
    const { keyEnv, ...rest } = options;
    this.name = options.name;
    this.remote = new RemoteTier({ ...rest, ...(keyEnv !== undefined && { keyEnv }) });
  }

  state(): TierState {
    const { isReady } = this.remote;
    return {
      name: this.name,
      kind: "remote",
      isReady,
      isAvailable: isReady,
      loadSeconds: 0,
      prefillTokensPerSecond: this.#prefill.tokensPerSecond,
      decodeTokensPerSecond: this.#decode.tokensPerSecond,
      queueSeconds: 0,
      contextTokens: assumedContextTokens,
    };
  }

  stats(): TierStats {
    const { requests, failed, breaker } = this.remote.stats();
    const counts = { requests, failures: failed, loads: 0, unloads: 0 };
    return { ...counts, breaker: breaker.state, active: this.#active, waiting: 0 };
  }

  async open({ input, options }: TierRequest): Promise<OpenAnswer> {
    const generation = this.remote.start(input, options);
    this.#active += 1;
    const settled = (): void => {
      this.#active -= 1;
    };
    generation.result.then(({ promptTokens, timings, remote }) => {
      this.#prefill.add(promptTokens, timings.timeToFirstTokenMs / 1000);
      this.#decode.add((remote.completionTokens ?? 1) - 1, timings.decodeMs / 1000);
      settled();
    }, settled);
    return Promise.resolve({ generation, release: () => undefined });
  }

  async close(): Promise<void> {
    this.remote.close();
    return Promise.resolve();
  }
}
