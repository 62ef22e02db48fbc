import type { TokenConstraint } from "../../lib/decoding/constraint.js";
import type { TokenHistory } from "../../lib/decoding/penalties.js";
import type { SamplingOptions } from "../../lib/decoding/sampler.js";
import { uniform } from "../../lib/util/rng.js";

export const toyVocabSize = 64;

/** Sampling options that change nothing. */
export const plainSampling: SamplingOptions = {
  logitBias: new Map(),
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  penaltyLastN: 64,
  seed: 1,
};

export function historyOf(tokens: readonly number[]): TokenHistory {
  return { length: tokens.length, token: (index) => tokens[index] ?? -1 };
}

/** [64] logits after each token; `seed` makes the language, nearly normal with a deviation of `spread`. */
function logitTable(seed: number, spread: number): readonly Float32Array[] {
  const draw = (index: number): number =>
    2 * ([0, 1, 2].reduce((sum, part) => sum + uniform(seed + part, index, "sample"), 0) - 1.5) * spread;
  return Array.from({ length: toyVocabSize }, (_, last) =>
    Float32Array.from({ length: toyVocabSize }, (_token, id) => draw(last * toyVocabSize + id)),
  );
}

/** Logits by the last token of a text: what a target model says. */
export const targetLogits = logitTable(100, 1.5);

const errors = logitTable(200, 0.8);

/** Logits by the last token of a text: what a draft model says, which is mostly but not quite the same. */
export const draftLogits = targetLogits.map((row, last) =>
  row.map((logit, id) => logit + (errors[last]?.[id] ?? 0)),
);

/** Forbids a third of the tokens: another third after each token. */
export class ToyConstraint implements TokenConstraint {
  readonly complete = false;
  readonly #accepted: number[] = [];

  /** Tokens that were accepted and not taken back. */
  get depth(): number {
    return this.#accepted.length;
  }

  static forbids(token: number, last: number): boolean {
    return (token + last) % 3 === 0;
  }

  mask(row: Float32Array): void {
    const last = this.#accepted.at(-1) ?? 0;
    for (const token of row.keys()) if (ToyConstraint.forbids(token, last)) row[token] = -Infinity;
  }

  accept(token: number): void {
    if (ToyConstraint.forbids(token, this.#accepted.at(-1) ?? 0)) throw new Error(`${token} is forbidden`);
    this.#accepted.push(token);
  }

  rollback(count: number): void {
    this.#accepted.length -= count;
  }

  close(): void {
    this.#accepted.length = 0;
  }
}

/** The probabilities that the options leave of the logits, in double precision, by their definitions. */
export function distributionOf(
  logits: ArrayLike<number>,
  text: readonly number[],
  options: SamplingOptions,
  isForbidden: (token: number) => boolean,
): readonly number[] {
  const { repetitionPenalty, presencePenalty, frequencyPenalty, penaltyLastN } = options;
  const recent = penaltyLastN > 0 ? text.slice(-penaltyLastN) : [];
  const weights = Array.from(logits, (logit, token) => {
    if (isForbidden(token)) return 0;
    const count = recent.filter((other) => other === token).length;
    const repeated = count === 0 ? logit : logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    const penalised = count === 0 ? logit : repeated - presencePenalty - frequencyPenalty * count;
    return Math.exp(penalised / options.temperature);
  });
  const byWeight = [...weights.keys()].sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0) || a - b);
  const top = byWeight.slice(0, options.topK > 0 ? options.topK : undefined);
  const total = top.reduce((sum, token) => sum + (weights[token] ?? 0), 0);
  const least = options.minP * (weights[top[0] ?? 0] ?? 0);
  const kept = new Set<number>();
  let mass = 0;
  for (const token of top) {
    const weight = weights[token] ?? 0;
    if (weight < least || (options.topP < 1 && mass / total >= options.topP)) break;
    kept.add(token);
    mass += weight;
  }
  return weights.map((weight, token) => (kept.has(token) ? weight / mass : 0));
}
