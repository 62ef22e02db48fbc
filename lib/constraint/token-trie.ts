import { setImmediate } from "node:timers/promises";

import { unsupported } from "../model/model-errors.js";
import type { Tokenizer } from "../model/tokenizer.js";
import { at } from "../util/array-access.js";

/**
 * The vocabulary as a tree over bytes: a token is at the node that its bytes lead to. Nodes are in depth-first order, so
 * that a walk over the tree is a loop over arrays. Control and end-of-generation tokens are not in it.
 */
export interface TokenTrie {
  readonly vocabSize: number;
  /** Node 0 is the root; the nodes below node n are n + 1 to end[n] - 1. */
  readonly nodes: number;
  /** [nodes] bytes from the root. */
  readonly depth: Uint16Array;
  /** [nodes] the last byte on the way from the root. */
  readonly byte: Uint8Array;
  /** [nodes] */
  readonly end: Int32Array;
  /** [nodes + 1] the tokens at node n are tokens[firstToken[n]] to tokens[firstToken[n + 1] - 1]. */
  readonly firstToken: Int32Array;
  readonly tokens: Int32Array;
  /** Bytes of the longest token. */
  readonly longest: number;
}

interface TokenText {
  readonly token: number;
  readonly bytes: Uint8Array;
}

/** Longest stretch of work on the JavaScript thread, so that streams of other generations do not stall. */
const sliceMs = 8;

/**
 * Builds the tree, a slice at a time.
 *
 * @throws {AirError} AIR_ERR_UNSUPPORTED when the vocabulary cannot spell some character
 */
export async function buildTokenTrie(tokenizer: Tokenizer): Promise<TokenTrie> {
  const pause = createPauses();
  const ends = new Set(tokenizer.endOfGenerationIds);
  // By the first two bytes, which keeps each sort short.
  const buckets = new Map<number, TokenText[]>();
  for (let token = 0; token < tokenizer.vocabSize; token += 1) {
    if (ends.has(token) || tokenizer.isControl(token)) continue;
    const bytes = tokenizer.tokenBytes(token);
    if (bytes.length === 0) continue;
    const start = at(bytes, 0) * 257 + (bytes.length > 1 ? at(bytes, 1) + 1 : 0);
    const bucket = buckets.get(start);
    if (bucket === undefined) buckets.set(start, [{ token, bytes }]);
    else bucket.push({ token, bytes });
    if (token % 1024 === 0) await pause();
  }
  const builder = new TrieBuilder();
  for (const start of [...buckets.keys()].sort((a, b) => a - b)) {
    const bucket = buckets.get(start) ?? [];
    bucket.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
    for (const { token, bytes } of bucket) builder.add(token, bytes);
    await pause();
  }
  const trie = builder.finish(tokenizer.vocabSize);
  assertSpellsEverything(trie);
  return trie;
}

/** Lets others run when the last pause is too long ago. */
function createPauses(): () => Promise<void> {
  let started = performance.now();
  return async () => {
    if (performance.now() - started < sliceMs) return;
    await setImmediate();
    started = performance.now();
  };
}

class TrieBuilder {
  readonly #byte: number[] = [0];
  readonly #depth: number[] = [0];
  readonly #end: number[] = [0];
  readonly #firstToken: number[] = [0];
  readonly #tokens: number[] = [];
  /** The nodes from the root to the last token's. */
  readonly #way: number[] = [0];
  #last: Uint8Array = new Uint8Array(0);
  #longest = 0;

  /** Tokens have to come in the order of their bytes. */
  add(token: number, bytes: Uint8Array): void {
    let shared = 0;
    while (shared < bytes.length && shared < this.#last.length && bytes[shared] === this.#last[shared])
      shared += 1;
    this.#close(shared);
    for (let depth = shared; depth < bytes.length; depth += 1) {
      this.#way.push(this.#byte.length);
      this.#byte.push(at(bytes, depth));
      this.#depth.push(depth + 1);
      this.#end.push(0);
      this.#firstToken.push(this.#tokens.length);
    }
    this.#tokens.push(token);
    this.#last = bytes;
    this.#longest = Math.max(this.#longest, bytes.length);
  }

  finish(vocabSize: number): TokenTrie {
    this.#close(0);
    const nodes = this.#byte.length;
    this.#end[0] = nodes;
    this.#firstToken.push(this.#tokens.length);
    return {
      vocabSize,
      nodes,
      depth: Uint16Array.from(this.#depth),
      byte: Uint8Array.from(this.#byte),
      end: Int32Array.from(this.#end),
      firstToken: Int32Array.from(this.#firstToken),
      tokens: Int32Array.from(this.#tokens),
      longest: this.#longest,
    };
  }

  /** Ends the nodes of the way that are deeper. */
  #close(depth: number): void {
    while (this.#way.length > depth + 1) this.#end[this.#way.pop() ?? 0] = this.#byte.length;
  }
}

/** Every byte that may stand in JSON text needs a token of its own, or a text could begin that no token continues. */
function assertSpellsEverything(trie: TokenTrie): void {
  const single = new Set<number>();
  for (let node = 1; node < trie.nodes; node = at(trie.end, node)) {
    if (at(trie.firstToken, node) < at(trie.firstToken, node + 1)) single.add(at(trie.byte, node));
  }
  for (let byte = 0x20; byte <= 0xf4; byte += 1) {
    if (byte === 0x7f || byte === 0xc0 || byte === 0xc1 || single.has(byte)) continue;
    throw unsupported(
      "constrained output",
      "a vocabulary with a token for every byte of UTF-8 text",
      `none for 0x${byte.toString(16)}`,
    );
  }
}
