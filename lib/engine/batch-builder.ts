import type { EvictionDecision } from "../cache/eviction-policy.js";
import { nullPage } from "../cache/page-pool.js";
import type { Batch } from "../native/native.js";
import { at } from "../util/array-access.js";
import type { GrantedShare } from "./page-reservation.js";

/** An Int32Array that grows and is reused from step to step. */
class IndexBuffer {
  #storage = new Int32Array(64);
  #view = this.#storage;

  /** A view of `length` elements; its contents are left over from the last step. */
  view(length: number): Int32Array {
    if (this.#storage.length < length) this.#storage = new Int32Array(2 ** Math.ceil(Math.log2(length)));
    // Decoding asks for the same lengths again and again, and making views costs more than filling them.
    if (this.#view.length !== length) this.#view = this.#storage.subarray(0, length);
    return this.#view;
  }
}

/** Turns granted shares into a {@link Batch}. A batch is valid until the next one is built. */
export class BatchBuilder {
  readonly #headGroups: number;
  readonly #tokens = new IndexBuffer();
  readonly #positions = new IndexBuffer();
  readonly #slots = new IndexBuffer();
  readonly #sequenceStarts = new IndexBuffer();
  readonly #pageTables = new IndexBuffer();
  readonly #contextLengths = new IndexBuffer();
  readonly #logitRows = new IndexBuffer();
  readonly #sinkTokens = new IndexBuffer();
  readonly #windowTokens = new IndexBuffer();
  readonly #evictedTokens = new IndexBuffer();

  constructor(headGroups: number) {
    this.#headGroups = headGroups;
  }

  /** The batch of these shares, in their order. */
  build(shares: readonly GrantedShare[]): Batch {
    return { ...this.#tokenArrays(shares), ...this.#sequenceArrays(shares) };
  }

  #tokenArrays(shares: readonly GrantedShare[]) {
    const tokenCount = shares.reduce((sum, share) => sum + share.tokens, 0);
    const rowCount = shares.reduce((sum, share) => sum + share.rows, 0);
    const tokens = this.#tokens.view(tokenCount);
    const positions = this.#positions.view(tokenCount);
    const slots = this.#slots.view(this.#headGroups * tokenCount);
    const sequenceStarts = this.#sequenceStarts.view(shares.length + 1);
    const logitRows = this.#logitRows.view(rowCount);
    let token = 0;
    let row = 0;
    for (const [order, { sequence, firstToken, tokens: count, rows }] of shares.entries()) {
      sequenceStarts[order] = token;
      for (let index = 0; index < count; index += 1, token += 1) {
        tokens[token] = sequence.token(firstToken + index);
        positions[token] = firstToken + index;
        for (let headGroup = 0; headGroup < this.#headGroups; headGroup += 1) {
          slots[headGroup * tokenCount + token] = sequence.table.slot(headGroup, firstToken + index);
        }
        if (index >= count - rows) logitRows[row++] = token;
      }
    }
    sequenceStarts[shares.length] = token;
    return { tokens, positions, slots, sequenceStarts, logitRows };
  }

  #sequenceArrays(shares: readonly GrantedShare[]) {
    const cells = this.#headGroups * shares.length;
    const maxPages = this.#maxPages(shares);
    const pageTables = this.#pageTables.view(cells * maxPages).fill(nullPage);
    const contextLengths = this.#contextLengths.view(cells);
    const sinkTokens = this.#sinkTokens.view(cells);
    const windowTokens = this.#windowTokens.view(cells);
    const evictedTokens = this.#evictedTokens.view(cells);
    for (let headGroup = 0; headGroup < this.#headGroups; headGroup += 1) {
      for (const [order, { sequence, spareTokens, decisions }] of shares.entries()) {
        const cell = headGroup * shares.length + order;
        const decision: EvictionDecision = at(decisions, headGroup);
        pageTables.set(sequence.table.pages(headGroup), cell * maxPages);
        contextLengths[cell] = sequence.table.cachedTokens(headGroup) - spareTokens;
        sinkTokens[cell] = decision.sinkTokens;
        windowTokens[cell] = decision.windowTokens;
        evictedTokens[cell] = sequence.table.evictedTokens(headGroup);
      }
    }
    return { pageTables, contextLengths, sinkTokens, windowTokens, evictedTokens };
  }

  /** Pages of the longest page table. */
  #maxPages(shares: readonly GrantedShare[]): number {
    let most = 0;
    for (const { sequence } of shares) {
      for (let headGroup = 0; headGroup < this.#headGroups; headGroup += 1) {
        most = Math.max(most, sequence.table.pages(headGroup).length);
      }
    }
    return most;
  }
}
