import { AirError, invalidArgument } from "../errors/air-error.js";
import type { AirRuntime } from "./air-runtime.js";
import type { TierInput } from "./tier.js";

export interface CascadeCalibrationOptions {
  /** Share of a tier's answers that are to go on to the next one, 0 to 1. */
  readonly share: number;
  /** Tokens after which answers are judged; that of the cascade's configuration. Default 32. */
  readonly holdTokens?: number;
  readonly signal?: AbortSignal;
  /** Called with the part done, from 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
}

/** What was found out about a tier. */
export interface TierConfidence {
  readonly tier: string;
  /** For the cascade's minLogprob: this share of the answers is below. In nats. */
  readonly minLogprob: number;
  /** Mean log-probabilities of the answers, ascending. */
  readonly meanLogprobs: readonly number[];
}

async function meanLogprob(
  runtime: AirRuntime,
  tier: string,
  prompt: TierInput,
  { holdTokens = 32, signal }: CascadeCalibrationOptions,
): Promise<number | undefined> {
  const { result } = runtime.generate(prompt, {
    tier,
    cascade: false,
    maxTokens: holdTokens,
    logprobs: 0,
    ...(signal && { signal }),
  });
  const { logprobs = [] } = await result;
  if (logprobs.length === 0) return undefined;
  return logprobs.reduce((sum, { logprob }) => sum + logprob, 0) / logprobs.length;
}

/**
 * Sets the thresholds of a cascade by prompts like those of its use: of each tier but the largest, the mean
 * log-probability that a given share of its answers falls short of. Answers are begun only, as far as they are judged.
 *
 * @param prompts - at least ten; those that the router would send to the tier itself say the most
 * @throws {AirError} AIR_ERR_ARGUMENT for too few prompts and a share out of range; as runtime.generate()
 */
export async function calibrateCascade(
  runtime: AirRuntime,
  prompts: readonly TierInput[],
  options: CascadeCalibrationOptions,
): Promise<readonly TierConfidence[]> {
  const { share, onProgress } = options;
  if (!(share >= 0 && share <= 1)) throw invalidArgument("share", "a fraction from 0 to 1", share);
  if (prompts.length < 10) throw invalidArgument("prompts", "at least 10 prompts", prompts);
  const tiers = runtime.localTierNames.filter((name) => name !== runtime.tierNames.at(-1));
  const found: TierConfidence[] = [];
  for (const [order, tier] of tiers.entries()) {
    const meanLogprobs: number[] = [];
    for (const [index, prompt] of prompts.entries()) {
      const mean = await meanLogprob(runtime, tier, prompt, options);
      if (mean !== undefined) meanLogprobs.push(mean);
      onProgress?.((order + (index + 1) / prompts.length) / tiers.length);
    }
    meanLogprobs.sort((a, b) => a - b);
    const minLogprob =
      meanLogprobs[Math.min(meanLogprobs.length - 1, Math.round(share * meanLogprobs.length))];
    if (minLogprob === undefined) {
      throw new AirError("AIR_ERR_ARGUMENT", `expected prompts that tier ${tier} answers but received none`);
    }
    found.push({ tier, minLogprob, meanLogprobs });
  }
  return found;
}
