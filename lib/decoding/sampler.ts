import { AirError, type ErrorCode } from "../errors/air-error.js";
import { at } from "../util/array-access.js";
import { rngPurposes } from "../util/rng.js";
import type { TokenConstraint } from "./constraint.js";
import { applyPenalties, type PenaltyOptions, type TokenHistory } from "./penalties.js";
import type { RowMath } from "./row-math.js";

/** How a token is chosen from a row of logits. */
export interface SamplingOptions extends PenaltyOptions {
  /** Added to the logits of these token ids; -Infinity forbids one. */
  readonly logitBias: ReadonlyMap<number, number>;
  /** 0 takes the most likely token, the lowest id among equals. */
  readonly temperature: number;
  /** Keep the k most likely tokens; 0 is off. */
  readonly topK: number;
  /** Keep the fewest most likely tokens whose probabilities sum to at least this; 1 is off. */
  readonly topP: number;
  /** Keep tokens of at least this fraction of the most likely token's probability; 0 is off. */
  readonly minP: number;
  readonly seed: number;
  /** Which tokens may come next; whoever samples tells it what was chosen. */
  readonly constraint?: TokenConstraint | undefined;
  /** How many of the most likely tokens to report beside the chosen one; undefined reports no logprobs. */
  readonly logprobs?: number | undefined;
}

/** A token and its log-probability (natural) in the model's own distribution, before any option applies. */
export interface TokenLogprob {
  readonly token: number;
  readonly logprob: number;
}

/** A chosen token's log-probability, and the most likely tokens in descending order. */
export interface Logprobs extends TokenLogprob {
  readonly top: readonly TokenLogprob[];
}

/** A sampled token. */
export interface Sample {
  readonly token: number;
  readonly logprobs?: Logprobs;
}

/** The smallest normal float32, which the row maths can divide by; below it the most likely token always wins. */
const smallestTemperature = 2 ** -126;
/** First number of candidates that is tried when a cut does not say how many it keeps. */
const firstCandidates = 64;
const candidateGrowth = 4;

/** Takes the token at a position of the text from a distribution over the vocabulary, which it may overwrite. */
export type TokenPicker = (probabilities: Float32Array, position: number) => Guess;

/** A chosen token, and the probability that it had. */
export interface Guess {
  readonly token: number;
  readonly probability: number;
}

/** Tokens that may be drawn, with their weights; every token without ids. */
interface Candidates {
  readonly ids?: Int32Array;
  readonly weights: Float32Array;
}

/**
 * Chooses tokens. The order is fixed: logit bias, penalties, constraint, temperature, top-k, top-p, min-p, draw. Top-p
 * counts the probabilities that top-k left, and both keep a prefix of the tokens in descending order, as min-p does.
 */
export class Sampler {
  readonly #maths: RowMath;
  readonly #vocabSize: number;
  readonly #options: SamplingOptions;
  readonly #best = new Int32Array(1);
  #ids = new Int32Array(firstCandidates);
  #weights = new Float32Array(firstCandidates);

  constructor(maths: RowMath, vocabSize: number, options: SamplingOptions) {
    this.#maths = maths;
    this.#vocabSize = vocabSize;
    this.#options = options;
  }

  /** Whether the most likely token always wins. */
  get isGreedy(): boolean {
    return this.#options.temperature < smallestTemperature;
  }

  /**
   * Chooses the token that follows `history`. The draw is a function of the distribution, the seed and the history's
   * length alone, and similar distributions mostly give the same token: a draft model that draws with the same seed
   * guesses what this sampler is going to take.
   *
   * @param row - [vocabSize] logits; overwritten
   * @param pick - takes the token in the draw's place, where there is one
   * @throws {AirError} AIR_ERR_INTERNAL when the logits are not finite, AIR_ERR_ARGUMENT when bias, penalties and
   *   constraint leave no finite one
   */
  sample(row: Float32Array, history: TokenHistory, pick?: TokenPicker): Sample {
    const { logprobs } = this.#options;
    if (logprobs === undefined) return { token: this.#choose(row, history, pick).token };
    const raw = row.slice();
    const { token } = this.#choose(row, history, pick);
    return { token, logprobs: this.#logprobs(raw, token, logprobs) };
  }

  /** As sample(), with the probability that the token had when it was chosen. */
  guess(row: Float32Array, history: TokenHistory, pick?: TokenPicker): Guess {
    const { token, probability } = this.#choose(row, history, pick);
    return { token, probability: probability ?? Math.exp(at(row, token) - this.#maths.logSumExpRow(row)) };
  }

  /** Chooses; the probability is left out when the most likely token is taken from its logits. */
  #choose(
    row: Float32Array,
    history: TokenHistory,
    pick: TokenPicker | undefined,
  ): { readonly token: number; readonly probability?: number } {
    const { logitBias, constraint } = this.#options;
    const position = history.length;
    let best = this.#argmax(row, position, "the model's logits", "AIR_ERR_INTERNAL");
    for (const [token, bias] of logitBias) row[token] = (row[token] ?? 0) + bias;
    const isPenalised = applyPenalties(row, history, this.#options);
    constraint?.mask(row);
    if (isPenalised || logitBias.size > 0 || constraint !== undefined) {
      best = this.#argmax(row, position, "logits after bias, penalties and constraint", "AIR_ERR_ARGUMENT");
    }
    return this.isGreedy ? { token: best } : this.#take(row, position, pick);
  }

  #argmax(row: Float32Array, position: number, subject: string, code: ErrorCode): number {
    this.#maths.argmaxRows(row, this.#vocabSize, this.#best);
    const best = at(this.#best, 0);
    const value = row[best] ?? NaN;
    if (Number.isFinite(value)) return best;
    throw new AirError(
      code,
      `expected finite values for ${subject} at position ${position} but received ${value}`,
    );
  }

  #take(row: Float32Array, position: number, pick: TokenPicker | undefined): Guess {
    const { ids, weights } = this.#candidates(row);
    if (pick === undefined) {
      const { seed } = this.#options;
      const index = this.#maths.sampleRow(weights, ids, seed, position, rngPurposes.sample);
      return { token: ids === undefined ? index : at(ids, index), probability: at(weights, index) };
    }
    spread(row, weights, ids);
    return pick(row, position);
  }

  /** Turns logits into the weights of the tokens that the cuts keep. */
  #candidates(row: Float32Array): Candidates {
    const { temperature, topK, topP, minP } = this.#options;
    if (topK > 0 && topK < this.#vocabSize) {
      this.#takeTop(row, topK);
      const weights = this.#weights.subarray(0, topK);
      this.#maths.softmaxRows(weights, topK, temperature);
      const kept = cutLength(weights, topP, minP) ?? topK;
      return { ids: this.#ids.subarray(0, kept), weights: weights.subarray(0, kept) };
    }
    this.#maths.softmaxRows(row, this.#vocabSize, temperature);
    if (topP >= 1 && minP <= 0) return { weights: row };
    const kept = this.#cutSorted(row);
    return { ids: this.#ids.subarray(0, kept), weights: this.#weights.subarray(0, kept) };
  }

  /** Sorts as many of the largest probabilities as the cuts need to see, and returns how many they keep. */
  #cutSorted(probabilities: Float32Array): number {
    const { topP, minP } = this.#options;
    for (let count = firstCandidates; count < this.#vocabSize; count *= candidateGrowth) {
      this.#takeTop(probabilities, count);
      const kept = cutLength(this.#weights.subarray(0, count), topP, minP);
      if (kept !== undefined) return kept;
    }
    this.#takeTop(probabilities, this.#vocabSize);
    return cutLength(this.#weights.subarray(0, this.#vocabSize), topP, minP) ?? this.#vocabSize;
  }

  #takeTop(row: Float32Array, count: number): void {
    if (this.#ids.length < count) {
      this.#ids = new Int32Array(count);
      this.#weights = new Float32Array(count);
    }
    this.#maths.topKRow(row, count, this.#ids.subarray(0, count), this.#weights.subarray(0, count));
  }

  #logprobs(raw: Float32Array, token: number, count: number): Logprobs {
    const normaliser = this.#maths.logSumExpRow(raw);
    const ids = new Int32Array(count);
    if (count > 0) this.#maths.topKRow(raw, count, ids, new Float32Array(count));
    const logprobOf = (id: number): TokenLogprob => ({ token: id, logprob: at(raw, id) - normaliser });
    return { ...logprobOf(token), top: Array.from(ids, logprobOf) };
  }
}

/** Writes the weights, normalised, to the places of their ids, and 0 elsewhere. */
function spread(row: Float32Array, weights: Float32Array, ids: Int32Array | undefined): void {
  if (ids === undefined) return; // the weights are the row
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  row.fill(0);
  for (const [index, id] of ids.entries()) row[id] = at(weights, index) / total;
}

/**
 * How many of the descending `probabilities` top-p and min-p keep, or undefined when neither cut lies within them.
 * At least one is kept.
 */
function cutLength(probabilities: Float32Array, topP: number, minP: number): number | undefined {
  const threshold = minP * at(probabilities, 0);
  let mass = 0;
  for (const [index, probability] of probabilities.entries()) {
    if (probability < threshold) return index;
    mass += probability;
    if (topP < 1 && mass >= topP) return index + 1;
  }
  return undefined;
}
