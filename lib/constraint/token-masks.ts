import { at } from "../util/array-access.js";
import { type Automaton, dead } from "./automaton.js";
import type { TokenTrie } from "./token-trie.js";

/** What tokens do within one terminal, whatever stands around it. */
export interface TerminalMask {
  /** [ceil(vocabSize / 32)] bit t % 32 of word t / 32: token t stays within the terminal. */
  readonly words: Uint32Array;
  /** Nodes at which the terminal may end while tokens go on. */
  readonly exits: Int32Array;
}

/** Masks are dropped when they take more than this. */
const maxBytes = 32 * 2 ** 20;

/** Computes and keeps the masks of terminals: all schemas of a tokenizer share those of a plain string, for example. */
export class TokenMasks {
  readonly trie: TokenTrie;
  #masks = new WeakMap<Automaton, Map<number, TerminalMask>>();
  #bytes = 0;
  /** [longest + 1] the state at each depth of the way to the current node. */
  readonly #states: number[];

  constructor(trie: TokenTrie) {
    this.trie = trie;
    this.#states = new Array<number>(trie.longest + 1).fill(dead);
  }

  /** The mask of a terminal in a state that has bytes before it or is the start. */
  ofState(automaton: Automaton, state: number): TerminalMask {
    const key = automaton.key(state, this.trie.longest);
    const known = this.#masks.get(automaton)?.get(key);
    if (known !== undefined) return known;
    const words = new Uint32Array(Math.ceil(this.trie.vocabSize / 32));
    const exits: number[] = [];
    this.walk(0, automaton, state, words, (node) => exits.push(node));
    const mask = { words, exits: Int32Array.from(exits) };
    this.#keep(automaton, key, mask);
    return mask;
  }

  /**
   * Walks an automaton over the tokens below a node and sets the bits of those that it does not refuse.
   *
   * @param onExit - called with nodes that have others below and at which the automaton accepts
   */
  walk(
    from: number,
    automaton: Automaton,
    state: number,
    words: Uint32Array,
    onExit: (node: number) => void,
  ): void {
    const { depth, byte, end, firstToken, tokens } = this.trie;
    const states = this.#states;
    const last = at(end, from);
    states[at(depth, from)] = state;
    for (let node = from + 1; node < last;) {
      const level = depth[node] ?? 0;
      const next = automaton.step(states[level - 1] ?? dead, byte[node] ?? 0);
      const after = end[node] ?? last;
      if (next === dead) {
        node = after;
        continue;
      }
      states[level] = next;
      const stop = firstToken[node + 1] ?? 0;
      for (let index = firstToken[node] ?? 0; index < stop; index += 1) setBit(words, tokens[index] ?? 0);
      if (after > node + 1 && automaton.accepts(next)) onExit(node);
      node += 1;
    }
  }

  #keep(automaton: Automaton, key: number, mask: TerminalMask): void {
    this.#bytes += mask.words.byteLength + mask.exits.byteLength;
    if (this.#bytes > maxBytes) {
      this.#masks = new WeakMap();
      this.#bytes = mask.words.byteLength + mask.exits.byteLength;
    }
    const masks = this.#masks.get(automaton);
    if (masks === undefined) this.#masks.set(automaton, new Map([[key, mask]]));
    else masks.set(key, mask);
  }
}

/** Sets the bit of a token. */
export function setBit(words: Uint32Array, token: number): void {
  words[token >>> 5] = (words[token >>> 5] ?? 0) | (1 << (token & 31));
}

/** Forbids the tokens without a bit, and what a model pads its rows with. */
export function applyMask(words: Uint32Array, vocabSize: number, row: Float32Array): void {
  for (const [index, word] of words.entries()) {
    if (word === 0xffffffff) continue;
    const first = index * 32;
    const last = Math.min(first + 32, vocabSize);
    if (word === 0) row.fill(-Infinity, first, last);
    else
      for (let token = first; token < last; token += 1)
        if (((word >>> (token & 31)) & 1) === 0) row[token] = -Infinity;
  }
  row.fill(-Infinity, vocabSize);
}
