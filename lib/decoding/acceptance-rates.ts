import { at } from "../util/array-access.js";
import type { ProposerName } from "./proposer.js";

/** How fast old outcomes fade. */
const decay = 0.96;
/** How many outcomes the expectation from the position before is worth. */
const priorWeight = 2;
/** What to expect of a proposer that was never tried. */
const untriedRate = { ngram: 0.5, "draft-model": 0.7 } as const;

/** Moving averages of how often draft tokens of one kind are accepted, by their place in the draft. */
export class AcceptanceRates {
  readonly #prior: number;
  /** By place: outcomes and acceptances, fading. */
  readonly #tried: number[] = [];
  readonly #accepted: number[] = [];

  /** @param prior - rate to expect of a first token that has never been tried */
  constructor(prior: number) {
    this.#prior = prior;
  }

  /** Outcomes that count, the old ones less. */
  get weight(): number {
    return this.#tried[0] ?? 0;
  }

  /** Probabilities that tokens 0, 1, .. count - 1 of a draft are accepted, each given that those before it were. */
  rates(count: number): readonly number[] {
    const rates: number[] = [];
    let expected = this.#prior;
    for (let place = 0; place < count; place += 1) {
      const tried = this.#tried[place] ?? 0;
      expected = ((this.#accepted[place] ?? 0) + priorWeight * expected) / (tried + priorWeight);
      rates.push(expected);
    }
    return rates;
  }

  /** Notes that of `drafted` tokens the first `accepted` were accepted; those after the next one were not decided. */
  observe(drafted: number, accepted: number): void {
    for (let place = 0; place < Math.min(drafted, accepted + 1); place += 1) {
      this.#tried[place] = (this.#tried[place] ?? 0) * decay + 1;
      this.#accepted[place] = (this.#accepted[place] ?? 0) * decay + (place < accepted ? 1 : 0);
    }
  }
}

/** What to expect of proposers, from earlier texts of the same model. */
export class AcceptancePriors {
  readonly #seen = new Map<string, AcceptanceRates>();

  /** The rate to expect of the first token of a class of guesses. */
  rate(proposer: ProposerName, strength: number): number {
    return at(this.#ratesOf(proposer, strength).rates(1), 0);
  }

  /** Notes a draft, as {@link AcceptanceRates.observe}. */
  observe(proposer: ProposerName, strength: number, drafted: number, accepted: number): void {
    this.#ratesOf(proposer, strength).observe(drafted, accepted);
  }

  #ratesOf(proposer: ProposerName, strength: number): AcceptanceRates {
    const key = `${proposer} ${strength}`;
    const rates = this.#seen.get(key) ?? new AcceptanceRates(untriedRate[proposer]);
    this.#seen.set(key, rates);
    return rates;
  }
}

/** Expected tokens of a cycle with a draft: 1 + r0 + r0 r1 + ..; entry k is for k draft tokens. */
export function expectedTokens(rates: readonly number[]): readonly number[] {
  const expected = [1];
  let reached = 1;
  for (const rate of rates) {
    reached *= rate;
    expected.push(at(expected, expected.length - 1) + reached);
  }
  return expected;
}
