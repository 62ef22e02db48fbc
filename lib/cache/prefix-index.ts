import { at } from "../util/array-access.js";
import type { PagePool } from "./page-pool.js";

/** Hashes a page's tokens, chained to the hash of the text before it. */
export type PageHash = (parentHash: number, tokens: Int32Array) => number;

/** A full page of a text that the index knows, in all head groups; or, at depth 0, the start of the texts of one key. */
export class PrefixNode {
  readonly parent: PrefixNode | undefined;
  readonly tokens: Int32Array; // [pageTokens]
  readonly pages: readonly number[]; // [headGroups]
  readonly hash: number;
  /** Pages of text from the start to this one. */
  readonly depth: number;
  /** Of the texts that start here; the root's only. */
  readonly key: string;
  /** By hash; tokens tell children of one hash apart. */
  readonly children = new Map<number, PrefixNode[]>();
  /** Whether the index still knows it. */
  isKnown = true;

  constructor(
    parent: PrefixNode | undefined,
    tokens: Int32Array,
    pages: readonly number[],
    hash: number,
    key = "",
  ) {
    this.parent = parent;
    this.key = key;
    this.tokens = tokens;
    this.pages = pages;
    this.hash = hash;
    this.depth = parent === undefined ? 0 : parent.depth + 1;
  }
}

const hashPage: PageHash = (parentHash, tokens) => {
  let hash = parentHash;
  for (const token of tokens) {
    hash = Math.imul(hash ^ token, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash;
};

/**
 * Which pages hold which text. Texts that start alike share their nodes: a chain of full pages, each with a page id per
 * head group, whose keys and values depend on the key and on the tokens up to its end only. The index holds the pages.
 * Those that nobody else holds are given up when a pool runs dry, the least recently used first, and a text's last pages
 * before its first.
 */
export class PrefixIndex {
  readonly pageTokens: number;
  readonly #pools: readonly PagePool[];
  readonly #hash: PageHash;
  readonly #roots = new Map<string, PrefixNode>();
  /** By head group: the node that holds a page. */
  readonly #holders: readonly Map<number, PrefixNode>[];
  /** Least recently used first; a node comes after all that follow it in its text. */
  readonly #recency = new Set<PrefixNode>();

  /** @param hash - another hash, for tests of what happens when it is equal for different tokens */
  constructor(pools: readonly PagePool[], pageTokens: number, hash: PageHash = hashPage) {
    this.pageTokens = pageTokens;
    this.#pools = pools;
    this.#hash = hash;
    this.#holders = pools.map(() => new Map());
    for (const [headGroup, pool] of pools.entries()) {
      pool.attachCache({
        reclaim: () => {
          this.#reclaim(headGroup);
        },
        forget: (page) => {
          const node = at(this.#holders, headGroup).get(page);
          if (node !== undefined) this.#remove(node);
        },
      });
    }
  }

  /** Nodes that are known, the roots not counted. */
  get size(): number {
    return this.#recency.size;
  }

  /** The start of the texts of a key. Texts of different keys share nothing. */
  root(key: string): PrefixNode {
    const known = this.#roots.get(key);
    // One that nothing follows is not kept: there may be any number of keys.
    return known ?? new PrefixNode(undefined, new Int32Array(), [], this.#hash(0, codesOf(key)), key);
  }

  /** The page after `parent` that holds these tokens, [pageTokens]. */
  find(parent: PrefixNode, tokens: Int32Array): PrefixNode | undefined {
    const { hash, children } = parent;
    return children.get(this.#hash(hash, tokens))?.find((child) => areEqual(child.tokens, tokens));
  }

  /**
   * Makes a page known.
   *
   * @param parent - a known page, or the root of the key
   * @param tokens - [pageTokens]; no page with these tokens is known after `parent`
   * @param pages - one page of each head group, which the caller holds
   * @returns the node, or undefined when a page is known already, as part of another text
   */
  add(parent: PrefixNode, tokens: Int32Array, pages: readonly number[]): PrefixNode | undefined {
    if (pages.some((page, headGroup) => at(this.#pools, headGroup).isCached(page))) return undefined;
    const node = new PrefixNode(parent, tokens, pages, this.#hash(parent.hash, tokens));
    for (const [headGroup, page] of pages.entries()) {
      at(this.#pools, headGroup).cache(page);
      at(this.#holders, headGroup).set(page, node);
    }
    if (parent.depth === 0) this.#roots.set(parent.key, parent);
    const alike = parent.children.get(node.hash);
    if (alike === undefined) parent.children.set(node.hash, [node]);
    else alike.push(node);
    this.#recency.add(node);
    this.touch(node);
    return node;
  }

  /** Counts a text up to this page as used now. */
  touch(node: PrefixNode): void {
    for (const known of chainOf(node)) {
      this.#recency.delete(known);
      this.#recency.add(known);
    }
  }

  /** The pages of a text up to this page, by head group. */
  pages(node: PrefixNode): readonly (readonly number[])[] {
    const chain = chainOf(node).reverse();
    return this.#pools.map((_, headGroup) => chain.map(({ pages }) => at(pages, headGroup)));
  }

  /** The last known page of a text whose first `depth` pages are those of `node`. */
  ancestor(node: PrefixNode, depth: number): PrefixNode {
    let known = node;
    while (known.depth > depth && known.parent !== undefined) known = known.parent;
    return known;
  }

  /** Gives up every page. */
  clear(): void {
    for (const root of [...this.#roots.values()]) {
      for (const child of [...root.children.values()].flat()) this.#remove(child);
    }
  }

  #reclaim(headGroup: number): void {
    const pool = at(this.#pools, headGroup);
    for (const node of this.#recency) {
      if (!pool.isReclaimable(at(node.pages, headGroup))) continue;
      this.#remove(node);
      return;
    }
  }

  /** Forgets a node and all that follow it. */
  #remove(node: PrefixNode): void {
    const { parent, hash } = node;
    const alike = parent?.children.get(hash) ?? [];
    alike.splice(alike.indexOf(node), 1);
    if (alike.length === 0) parent?.children.delete(hash);
    if (parent?.depth === 0 && parent.children.size === 0) this.#roots.delete(parent.key);
    const pending = [node];
    for (let gone = pending.pop(); gone !== undefined; gone = pending.pop()) {
      for (const children of gone.children.values()) pending.push(...children);
      gone.isKnown = false;
      this.#recency.delete(gone);
      for (const [headGroup, page] of gone.pages.entries()) {
        at(this.#holders, headGroup).delete(page);
        at(this.#pools, headGroup).uncache(page);
      }
    }
  }
}

/** A node and those before it, the last first; without the root. */
function chainOf(node: PrefixNode): PrefixNode[] {
  const chain: PrefixNode[] = [];
  let current: PrefixNode | undefined = node;
  while (current !== undefined && current.depth > 0) {
    chain.push(current);
    current = current.parent;
  }
  return chain;
}

function areEqual(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}

function codesOf(text: string): Int32Array {
  return Int32Array.from(text, (character) => character.codePointAt(0) ?? 0);
}
