import type { TokenConstraint } from "../decoding/constraint.js";
import { AirError, invalidArgument } from "../errors/air-error.js";
import type { Tokenizer } from "../model/tokenizer.js";
import { at } from "../util/array-access.js";
import { assertFewWays, Following, type MatcherState, step } from "./matcher-state.js";
import type { Expression } from "./grammar.js";
import { applyMask, setBit, type TokenMasks } from "./token-masks.js";

/** Follows one text through a grammar, token by token. */
export class JsonMatcher implements TokenConstraint {
  readonly #tokenizer: Tokenizer;
  readonly #masks: TokenMasks;
  /** [tokens + 1] the state before each token and after the last; empty when closed. */
  readonly #states: MatcherState[];

  /** @param root - a grammar from which choices without a finite text were pruned */
  constructor(root: Expression, tokenizer: Tokenizer, masks: TokenMasks) {
    this.#tokenizer = tokenizer;
    this.#masks = masks;
    this.#states = [new Following().prepend(root).entry];
  }

  get complete(): boolean {
    return this.#state.heads.length === 0;
  }

  mask(row: Float32Array): void {
    const { vocabSize } = this.#masks.trie;
    if (row.length < vocabSize)
      throw invalidArgument("a row of logits", `at least ${vocabSize} values`, row.length);
    applyMask(this.#allowed(this.#state), vocabSize, row);
  }

  accept(token: number): void {
    this.#states.push(this.#after(token, this.#state));
  }

  rollback(count: number): void {
    this.#assertOpen();
    const accepted = this.#states.length - 1;
    if (!Number.isInteger(count) || count < 0 || count > accepted) {
      throw invalidArgument("the tokens to take back", `an integer from 0 to ${accepted}`, count);
    }
    this.#states.length -= count;
  }

  close(): void {
    this.#states.length = 0;
  }

  get #state(): MatcherState {
    this.#assertOpen();
    return at(this.#states, this.#states.length - 1);
  }

  #assertOpen(): void {
    if (this.#states.length > 0) return;
    throw new AirError("AIR_ERR_CLOSED", "expected an open constraint but received one that was closed");
  }

  #after(token: number, state: MatcherState): MatcherState {
    const isEnd = this.#tokenizer.endOfGenerationIds.includes(token);
    if (isEnd && state.canEnd) return { heads: [], canEnd: true };
    if (isEnd || this.#tokenizer.isControl(token)) throw this.#forbidden(token);
    const bytes = this.#tokenizer.tokenBytes(token);
    const after = bytes.reduce(step, state);
    if (bytes.length === 0 || (after.heads.length === 0 && !after.canEnd)) throw this.#forbidden(token);
    return after;
  }

  #forbidden(token: number): AirError {
    return invalidArgument("the next token", "one that the constraint allows", token);
  }

  /** [ceil(vocabSize / 32)] the tokens that may come next, as bits. */
  #allowed({ heads, canEnd }: MatcherState): Uint32Array {
    const words = new Uint32Array(Math.ceil(this.#masks.trie.vocabSize / 32));
    if (canEnd) for (const token of this.#tokenizer.endOfGenerationIds) setBit(words, token);
    const walked = new Map<Following, Set<number>>();
    for (const { automaton, state, following } of heads) {
      const mask = this.#masks.ofState(automaton, state);
      for (let index = 0; index < words.length; index += 1)
        words[index] = at(words, index) | at(mask.words, index);
      for (const node of mask.exits) this.#allowBelow(node, following, words, walked);
    }
    return words;
  }

  /** Adds the tokens below a node that begin with the end of a terminal and go on in what follows it. */
  #allowBelow(
    node: number,
    following: Following,
    words: Uint32Array,
    walked: Map<Following, Set<number>>,
  ): void {
    const nodes = walked.get(following) ?? new Set();
    if (nodes.has(node)) return;
    assertFewWays(walked.size);
    walked.set(following, nodes.add(node));
    for (const { automaton, state, following: next } of following.entry.heads) {
      const exits: number[] = [];
      this.#masks.walk(node, automaton, state, words, (exit) => exits.push(exit));
      for (const exit of exits) this.#allowBelow(exit, next, words, walked);
    }
  }
}
