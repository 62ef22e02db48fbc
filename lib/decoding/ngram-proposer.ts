import { at } from "../util/array-access.js";
import type { TokenHistory } from "./penalties.js";
import type { Draft, DraftRequest, Proposer, Prospect } from "./proposer.js";

/** Tokens that a place must have in common with the end of the text to count. */
const shortestMatch = 2;
/** Where the text went on the same way for this many tokens, longer agreement tells no more. */
const longestMatch = 16;
/** Lengths of match at which the next class begins. */
const strengthBounds = [3, 5, 9];
/** Places that are compared, the latest first. */
const maxPlaces = 32;
/** Most tokens of earlier texts that are remembered. */
const maxMemory = 65_536;
/** Above every token id; two ids make one exact number. */
const idRadix = 2 ** 24;

const none = -1;

/**
 * Guesses that a text goes on as it did after the last time its end occurred (prompt lookup), in the prompt, the output
 * or earlier texts of the same session. Costs next to nothing: a hash chain over pairs of tokens, as in LZ77.
 */
export class NgramProposer implements Proposer {
  readonly name = "ngram";
  readonly isFree = true;
  readonly strengths = strengthBounds.length + 1;
  /** Earlier texts and this one. */
  readonly #tokens: number[] = [];
  /** For each token, the index of the one before it that ends the same pair, or none. */
  readonly #previous: number[] = [];
  /** Index of the latest token that ends a pair. */
  readonly #latest = new Map<number, number>();
  /** Where this text starts in #tokens. */
  #start = 0;
  /** One past the match that look() found. */
  #match = none;

  begin(prompt: ArrayLike<number>): void {
    this.#match = none;
    let known = this.#goesOn(prompt) ? this.#tokens.length - this.#start : 0;
    if (known === 0) {
      if (this.#tokens.length > maxMemory) this.#forget();
      this.#start = this.#tokens.length;
    }
    for (; known < prompt.length; known += 1) this.#add(at(prompt, known));
  }

  look(text: TokenHistory): Prospect | undefined {
    for (let index = this.#tokens.length - this.#start; index < text.length; index += 1) {
      this.#add(text.token(index));
    }
    const end = this.#tokens.length - 1;
    let longest = shortestMatch - 1;
    this.#match = none;
    let place = this.#previous[end] ?? none;
    for (let places = 0; places < maxPlaces && place !== none; places += 1) {
      const length = this.#commonLength(place, end);
      if (length > longest) {
        longest = length;
        this.#match = place + 1;
        if (length === longestMatch) break;
      }
      place = at(this.#previous, place);
    }
    if (this.#match === none) return undefined;
    return { strength: strengthBounds.filter((bound) => longest >= bound).length, limit: Infinity };
  }

  propose(_text: TokenHistory, { limit }: DraftRequest): Draft {
    // Where the text ends the guesses go on in themselves: a loop goes on as a loop.
    const period = this.#tokens.length - this.#match;
    const tokens: number[] = [];
    while (tokens.length < limit) {
      const known = this.#tokens[this.#match + tokens.length];
      tokens.push(known ?? at(tokens, tokens.length - period));
    }
    return { tokens };
  }

  cancel(): void {
    // propose() settles at once.
  }

  /** Whether a prompt starts with all of the last text, as the next turn of a conversation does. */
  #goesOn(prompt: ArrayLike<number>): boolean {
    if (this.#tokens.length === this.#start) return false;
    for (let index = this.#start; index < this.#tokens.length; index += 1) {
      if (this.#tokens[index] !== prompt[index - this.#start]) return false;
    }
    return true;
  }

  #add(token: number): void {
    const index = this.#tokens.push(token) - 1;
    // A pair across the border of two texts would match nothing that belongs together.
    const before = index > this.#start ? this.#tokens[index - 1] : undefined;
    if (before === undefined) {
      this.#previous.push(none);
      return;
    }
    const pair = before * idRadix + token;
    this.#previous.push(this.#latest.get(pair) ?? none);
    this.#latest.set(pair, index);
  }

  /** Tokens up to `place` that equal those up to `end`. */
  #commonLength(place: number, end: number): number {
    let length = 0;
    while (
      length < longestMatch &&
      place - length >= 0 &&
      end - length >= this.#start &&
      this.#tokens[place - length] === this.#tokens[end - length]
    ) {
      length += 1;
    }
    return length;
  }

  /** Keeps the later half of what is remembered. */
  #forget(): void {
    const kept = this.#tokens.slice(-maxMemory / 2);
    this.#tokens.length = 0;
    this.#previous.length = 0;
    this.#latest.clear();
    this.#start = 0;
    for (const token of kept) this.#add(token);
  }
}
