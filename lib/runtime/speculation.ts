import type { AcceptanceRule } from "../decoding/acceptance.js";
import type { TokenConstraint } from "../decoding/constraint.js";
import { DraftModelProposer } from "../decoding/draft-model-proposer.js";
import { NgramProposer } from "../decoding/ngram-proposer.js";
import { hasPenalties } from "../decoding/penalties.js";
import type { Proposer } from "../decoding/proposer.js";
import { Sampler, type SamplingOptions, type TokenPicker } from "../decoding/sampler.js";
import { Speculator } from "../decoding/speculator.js";
import { rngPurposes } from "../util/rng.js";
import { EngineDraftText } from "./draft-text.js";
import type { ModelCore } from "./model-core.js";
import type { ResolvedSpeculation } from "./options.js";

/** How one generation samples. */
export interface SpeculatedSampling extends SamplingOptions {
  readonly constraint: TokenConstraint | undefined;
  readonly ignoreEos: boolean;
}

/** What a session keeps for speculation from one generation to the next. */
export class SessionSpeculation {
  readonly #core: ModelCore;
  readonly #cacheSalt: string | undefined;
  readonly #ngram = new NgramProposer();
  #draftText: EngineDraftText | undefined;

  constructor(core: ModelCore, cacheSalt: string | undefined) {
    this.#core = core;
    this.#cacheSalt = cacheSalt;
  }

  /** Makes the speculator of one generation. The options name no proposer that the model does not have. */
  start(options: ResolvedSpeculation, sampling: SpeculatedSampling): Speculator {
    const { costs, priors, draft } = this.#core;
    const names = options.proposers ?? (draft === undefined ? ["ngram"] : ["ngram", "draft-model"]);
    const proposers = names.map((name): Proposer => {
      if (name === "ngram" || draft === undefined) return this.#ngram;
      this.#draftText ??= new EngineDraftText(draft, this.#cacheSalt);
      return this.#draftModel(this.#draftText, options, sampling);
    });
    return new Speculator({
      proposers,
      costs,
      priors,
      maxDraftTokens: options.maxDraftTokens,
      isFixed: !options.adaptive,
    });
  }

  /** Frees the draft model's pages. Idempotent. */
  close(): void {
    this.#draftText?.close();
  }

  #draftModel(
    text: EngineDraftText,
    { adaptive, acceptance }: ResolvedSpeculation,
    sampling: SpeculatedSampling,
  ): DraftModelProposer {
    const { rowMath, tokenizer } = this.#core;
    const { vocabSize, endOfGenerationIds } = tokenizer;
    const sampler = new Sampler(rowMath, vocabSize, { ...sampling, logprobs: undefined });
    return new DraftModelProposer({
      text,
      vocabSize,
      sampler: takesLikeliest(sampler, sampling) ? undefined : sampler,
      constraint: sampling.constraint,
      isEnd: (token) => !sampling.ignoreEos && endOfGenerationIds.includes(token),
      pick: this.#pick(acceptance, sampler, sampling.seed),
      waits: !adaptive,
    });
  }

  /** The rejection rule needs draws that are independent of the target's. */
  #pick(rule: AcceptanceRule, sampler: Sampler, seed: number): TokenPicker | undefined {
    if (rule === "coupled" || sampler.isGreedy) return undefined;
    return (probabilities, position) => {
      const { rowMath } = this.#core;
      const token = rowMath.sampleRow(probabilities, undefined, seed, position, rngPurposes.draft);
      return { token, probability: probabilities[token] ?? 0 };
    };
  }
}

/** Whether sampling comes down to the largest raw logit, which native code finds by itself. */
function takesLikeliest(sampler: Sampler, options: SpeculatedSampling): boolean {
  const { logitBias, constraint } = options;
  return sampler.isGreedy && logitBias.size === 0 && constraint === undefined && !hasPenalties(options);
}
