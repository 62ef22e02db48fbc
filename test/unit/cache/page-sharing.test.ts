import { describe, expect, test } from "vitest";

import { PagePool } from "../../../lib/cache/page-pool.js";
import { PageTable } from "../../../lib/cache/page-table.js";
import { PrefixReuse } from "../../../lib/engine/prefix-reuse.js";
import { Sequence } from "../../../lib/engine/sequence.js";
import { createDice, type Dice } from "../../support/dice.js";

const pageTokens = 4;
const steps = 1000;

/** What a token's K/V stand for: a hash of the tokens up to it. */
function contentOf(tokens: readonly number[], index: number): number {
  let hash = 17;
  for (const token of tokens.slice(0, index + 1)) hash = (Math.imul(hash, 31) + token + 1) | 0;
  return hash;
}

/** What a sequence must hold. */
interface Expected {
  readonly sequence: Sequence;
  text: number[];
  length: number;
  droppedAt: number;
  /** By head group: positions of the pages. */
  held: Set<number>[];
}

/** Sequences over pools of their own, with what each of them must hold beside it. */
class World {
  readonly pools: readonly PagePool[];
  readonly reuse: PrefixReuse;
  readonly sequences: Expected[] = [];
  readonly counts = { adopted: 0, copies: 0, reclaimed: 0, dropped: 0, refused: 0, lost: 0 };
  readonly #bytes: readonly (readonly number[][])[]; // [headGroup][page][offset]
  readonly #dice: Dice;

  constructor(headGroups: number, dice: Dice) {
    this.#dice = dice;
    this.pools = Array.from({ length: headGroups }, () => new PagePool(13 + dice(12)));
    this.reuse = new PrefixReuse(this.pools, pageTokens);
    this.#bytes = this.pools.map(({ pageCount }) =>
      Array.from({ length: pageCount }, () => Array.from({ length: pageTokens }, () => 0)),
    );
  }

  step(): void {
    const dice = this.#dice;
    const chosen = this.sequences[dice(Math.max(1, this.sequences.length))];
    if (chosen === undefined || (this.sequences.length < 7 && dice(8) === 0)) {
      this.#create();
      return;
    }
    const actions = [
      () => {
        this.#begin(chosen);
      },
      () => {
        this.#adopt(chosen);
      },
      () => {
        this.#append(chosen);
      },
      () => {
        this.#append(chosen);
      },
      () => {
        this.#append(chosen);
      },
      () => {
        this.reuse.register(chosen.sequence);
      },
      () => {
        this.reuse.register(chosen.sequence);
      },
      () => {
        this.#drop(chosen);
      },
      () => {
        this.#truncate(chosen, dice(chosen.length + 4));
      },
      () => {
        this.#fork(chosen);
      },
      () => {
        this.#free(chosen);
      },
    ];
    actions[dice(actions.length)]?.();
  }

  /** Compares every table and every pool with what they must be. */
  check(): void {
    const holders = this.pools.map(() => new Set<number>());
    for (const { sequence, text, length, held } of this.sequences) {
      const { table } = sequence;
      expect(table.length).toBe(length);
      for (const [headGroup, positions] of held.entries()) {
        expect(table.pagePositions(headGroup)).toEqual([...positions].sort((a, b) => a - b));
        for (const [order, position] of table.pagePositions(headGroup).entries()) {
          const page = table.pages(headGroup)[order] ?? 0;
          holders[headGroup]?.add(page);
          const bytes = this.#bytes[headGroup]?.[page] ?? [];
          for (let index = position; index < Math.min(position + pageTokens, length); index += 1) {
            if (bytes[index - position] !== contentOf(text, index)) {
              expect.fail(`token ${index} of ${text.join("")} is not in page ${page}`);
            }
          }
        }
      }
    }
    for (const [headGroup, pool] of this.pools.entries()) {
      // What no table holds is free, whether or not the cache still knows it.
      expect(pool.freePages).toBe(pool.usablePages - (holders[headGroup]?.size ?? 0));
    }
  }

  /** Frees everything. */
  end(): void {
    for (const expected of [...this.sequences]) this.#free(expected);
    this.reuse.clear();
    for (const pool of this.pools) pool.assertWhole();
  }

  #text(): number[] {
    const dice = this.#dice;
    const other = this.sequences[dice(Math.max(1, this.sequences.length))]?.text ?? [];
    const tail = Array.from({ length: 1 + dice(24) }, () => dice(2));
    return [...other.slice(0, dice(other.length + 1)), ...tail].slice(0, 48);
  }

  #create(): void {
    const copyPage = (headGroup: number, from: number, to: number): void => {
      this.counts.copies += 1;
      this.#bytes[headGroup]?.[to]?.splice(0, pageTokens, ...(this.#bytes[headGroup][from] ?? []));
    };
    const sequence = new Sequence(new PageTable(this.pools, pageTokens, copyPage), "");
    const held = this.pools.map(() => new Set<number>());
    const expected: Expected = { sequence, text: [], length: 0, droppedAt: 0, held };
    this.sequences.push(expected);
    this.#begin(expected);
  }

  #begin(expected: Expected): void {
    const text = this.#text();
    let common = 0;
    while (common < Math.min(expected.length, text.length) && expected.text[common] === text[common])
      common += 1;
    this.#forget(expected, Math.min(common, text.length - 1));
    expected.text = text;
    expected.sequence.begin(text, text.length - 1);
    expect(expected.sequence.reusedTokens).toBe(expected.length);
  }

  #adopt(expected: Expected): void {
    const { sequence } = expected;
    const before = sequence.computedTokens;
    this.reuse.adopt(sequence);
    if (sequence.computedTokens === before) return;
    this.counts.adopted += 1;
    expect(sequence.computedTokens).toBeGreaterThan(before);
    expect(sequence.computedTokens).toBeLessThan(expected.text.length);
    expected.length = sequence.computedTokens;
    expected.droppedAt = 0;
    const positions = Array.from({ length: expected.length / pageTokens }, (_, page) => page * pageTokens);
    expected.held = this.pools.map(() => new Set(positions));
  }

  #append(expected: Expected): void {
    const { sequence, length, text } = expected;
    const { table } = sequence;
    const wanted = 1 + this.#dice(Math.max(1, text.length - length));
    const cached = this.reuse.stats.cachedPages;
    const room = table.appendableTokens;
    if (wanted > room) {
      this.counts.refused += 1;
      expect(() => {
        table.append(wanted);
      }).toThrow(expect.objectContaining({ code: "AIR_ERR_KV_EXHAUSTED" }));
    }
    const count = Math.min(wanted, room, text.length - length);
    const others = new Set(this.sequences.filter((other) => other !== expected).flatMap(pagesOf));
    table.append(count);
    if (this.reuse.stats.cachedPages < cached) this.counts.reclaimed += 1;
    for (let index = length; index < length + count; index += 1) {
      for (const headGroup of this.pools.keys()) {
        const slot = table.slot(headGroup, index);
        const page = Math.floor(slot / pageTokens);
        // Nobody else may hold what is written to: no table, and not the cache.
        expect(others.has(`${headGroup}:${page}`)).toBe(false);
        expect(this.pools[headGroup]?.isShared(page)).toBe(false);
        this.#bytes[headGroup]?.[page]?.splice(slot % pageTokens, 1, contentOf(text, index));
        expected.held[headGroup]?.add(index - (index % pageTokens));
      }
    }
    expected.length += count;
  }

  #drop(expected: Expected): void {
    const headGroup = this.#dice(this.pools.length);
    const { table } = expected.sequence;
    const full = Math.floor(table.cachedTokens(headGroup) / pageTokens);
    const dropped = Array.from({ length: full }, (_, index) => index).filter(() => this.#dice(3) === 0);
    for (const index of dropped)
      expected.held[headGroup]?.delete(table.pagePositions(headGroup)[index] ?? -1);
    table.drop(headGroup, dropped);
    if (dropped.length === 0) return;
    expected.droppedAt = expected.length;
    this.counts.dropped += 1;
  }

  #truncate(expected: Expected, length: number): void {
    this.#forget(expected, length);
    expect(expected.sequence.table.truncate(length)).toBe(expected.length);
  }

  /** The rule of PageTable.truncate(). */
  #forget(expected: Expected, length: number): void {
    if (length < expected.droppedAt) this.counts.lost += 1;
    expected.length = length < expected.droppedAt ? 0 : Math.min(length, expected.length);
    if (expected.length === 0) expected.droppedAt = 0;
    expected.held = expected.held.map(
      (positions) => new Set([...positions].filter((position) => position < expected.length)),
    );
  }

  #fork({ sequence, text, length, droppedAt, held }: Expected): void {
    if (this.sequences.length >= 8) return;
    const copies = held.map((positions) => new Set(positions));
    this.sequences.push({ sequence: sequence.fork(), text, length, droppedAt, held: copies });
  }

  #free(expected: Expected): void {
    expected.sequence.table.release();
    this.sequences.splice(this.sequences.indexOf(expected), 1);
  }
}

function pagesOf({ sequence, held }: Expected): string[] {
  return held.flatMap((_, headGroup) =>
    sequence.table.pages(headGroup).map((page) => `${headGroup}:${page}`),
  );
}

describe("page tables that share pages, by random operations", () => {
  const total = { adopted: 0, copies: 0, reclaimed: 0, dropped: 0, refused: 0, lost: 0 };

  test.each([1, 2].flatMap((headGroups) => [1, 2, 3, 4, 5, 6].map((seed) => [headGroups, seed] as const)))(
    "%i head groups, seed %i: tables hold their own text, and the pools end whole",
    (headGroups, seed) => {
      const world = new World(headGroups, createDice(seed * 100 + headGroups));
      for (let step = 0; step < steps; step += 1) {
        world.step();
        world.check();
      }
      for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += world.counts[key];
      world.end();
    },
  );

  test("and everything that may happen did happen", () => {
    for (const [event, count] of Object.entries(total)) expect(count, event).toBeGreaterThan(100);
  });
});
