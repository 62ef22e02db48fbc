/**
 * SentencePiece's greedy merge: of all adjacent pieces that together form a token, the pair whose token has the
 * highest score merges first, the leftmost of equals. O(n log n) in the length of the text.
 *
 * @param ids tokens by text
 * @param scores [tokens] by id
 * @returns the pieces, in order; a piece is a token, or a single character that is none
 */
export function mergeByScore(
  text: string,
  ids: ReadonlyMap<string, number>,
  scores: Float32Array,
): readonly string[] {
  const pieces = new PieceChain(text);
  const queue = new MergeQueue();
  const offer = (left: number): void => {
    const merged = pieces.withNext(left);
    const id = merged === undefined ? undefined : ids.get(merged);
    if (merged !== undefined && id !== undefined) {
      queue.push({ score: scores[id] ?? 0, left, length: merged.length });
    }
  };
  for (let left = pieces.first; left !== none; left = pieces.next(left)) offer(left);
  for (let best = queue.pop(); best !== undefined; best = queue.pop()) {
    // A merge of either side since the offer makes it void; such a side has another length now.
    if (pieces.lengthWithNext(best.left) !== best.length) continue;
    pieces.mergeWithNext(best.left);
    offer(best.left);
    const previous = pieces.previous(best.left);
    if (previous !== none) offer(previous);
  }
  return pieces.toArray();
}

const none = -1;

/** A text cut into pieces that only ever grow; a piece is known by the offset of its first character. */
class PieceChain {
  readonly first: number;
  readonly #text: string;
  /** By the offset where a piece starts: where it ends (0 for no piece), and where its left neighbour starts. */
  readonly #end: Int32Array;
  readonly #previous: Int32Array;

  constructor(text: string) {
    this.#text = text;
    this.#end = new Int32Array(text.length);
    this.#previous = new Int32Array(text.length).fill(none);
    let start = 0;
    for (const character of text) {
      const end = start + character.length;
      this.#end[start] = end;
      if (end < text.length) this.#previous[end] = start;
      start = end;
    }
    this.first = text.length === 0 ? none : 0;
  }

  next(piece: number): number {
    const end = this.#endOf(piece);
    return end < this.#text.length ? end : none;
  }

  previous(piece: number): number {
    return this.#previous[piece] ?? none;
  }

  /** Characters of a piece and its right neighbour; none when either is gone. */
  lengthWithNext(piece: number): number {
    const next = this.#endOf(piece) === 0 ? none : this.next(piece);
    return next === none ? none : this.#endOf(next) - piece;
  }

  withNext(piece: number): string | undefined {
    const length = this.lengthWithNext(piece);
    return length === none ? undefined : this.#text.slice(piece, piece + length);
  }

  mergeWithNext(piece: number): void {
    const next = this.next(piece);
    const end = this.#endOf(next);
    this.#end[piece] = end;
    this.#end[next] = 0;
    if (end < this.#text.length) this.#previous[end] = piece;
  }

  toArray(): readonly string[] {
    const pieces: string[] = [];
    for (let piece = this.first; piece !== none; piece = this.next(piece)) {
      pieces.push(this.#text.slice(piece, this.#endOf(piece)));
    }
    return pieces;
  }

  #endOf(piece: number): number {
    return this.#end[piece] ?? 0;
  }
}

interface Merge {
  readonly score: number;
  readonly left: number;
  /** Characters of both sides when the merge was offered. */
  readonly length: number;
}

/** A binary heap: highest score first, then leftmost. */
class MergeQueue {
  readonly #heap: Merge[] = [];

  push(merge: Merge): void {
    const heap = this.#heap;
    let at = heap.push(merge) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !before(merge, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = merge;
  }

  pop(): Merge | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (last !== undefined && heap.length > 0) this.#sink(last);
    return top;
  }

  #sink(merge: Merge): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      const leftChild = 2 * at + 1;
      const left = heap[leftChild];
      if (left === undefined) break;
      const right = heap[leftChild + 1];
      const rightIsFirst = right !== undefined && before(right, left);
      const child = rightIsFirst ? right : left;
      if (!before(child, merge)) break;
      heap[at] = child;
      at = rightIsFirst ? leftChild + 1 : leftChild;
    }
    heap[at] = merge;
  }
}

function before(a: Merge, b: Merge): boolean {
  return a.score > b.score || (a.score === b.score && a.left < b.left);
}
