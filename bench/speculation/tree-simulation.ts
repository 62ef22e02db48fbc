/**
 * A draft tree: a chain of the draft model's likeliest tokens, with the next likeliest beside the first ones. Those are
 * leaves, which cost no draft step: the logits that gave the chain's token gave them too.
 */
export interface TreeShape {
  /** Tokens of the chain. */
  readonly depth: number;
  /** How many of the chain's tokens have siblings. */
  readonly siblingDepths: number;
  /** Tokens at those depths, the chain's included. */
  readonly width: number;
}

/** What a kind of draft came to over some texts. */
export interface SimulatedCycles {
  readonly tokens: number;
  /** Draft tokens that were right. */
  readonly accepted: number;
  /** Rows that each cycle's step of the target has: the draft's, and that of the last known token. */
  readonly rows: readonly number[];
  /** Steps of the draft model in each cycle. */
  readonly draftSteps: readonly number[];
}

/** Rows of a step that verifies the tree, with the chain cut to `depth`. */
function treeRows({ siblingDepths, width }: TreeShape, depth: number): number {
  return 1 + depth + Math.min(depth, siblingDepths) * (width - 1);
}

/**
 * Runs through texts in cycles. A text of `limit` tokens was cut off there, as the session knew; a shorter one ended by
 * itself, which its drafts did not know.
 *
 * @param right - how many tokens of a draft of `depth` are right from token `start` of a text on
 */
function simulate(
  lengths: readonly number[],
  { limit, mostDepth }: { readonly limit: number; readonly mostDepth: number },
  rowsOf: (depth: number) => number,
  right: (text: number, start: number, depth: number) => number,
): SimulatedCycles {
  const rows: number[] = [];
  const draftSteps: number[] = [];
  let tokens = 0;
  let accepted = 0;
  for (const [text, length] of lengths.entries()) {
    // The first token comes from the prompt, and the last one of a step is never drafted.
    for (let start = 1; start < length;) {
      const depth = Math.min(mostDepth, limit - start - 1);
      const taken = right(text, start, depth);
      const advance = Math.min(taken + 1, length - start);
      tokens += advance;
      accepted += taken;
      // A draft that ends the text rightly ends there itself.
      rows.push(rowsOf(Math.min(depth, start + taken === length ? taken : depth)));
      draftSteps.push(depth);
      start += advance;
    }
  }
  return { tokens, accepted, rows, draftSteps };
}

/**
 * Runs through texts with such a tree, greedily.
 *
 * @param ranks - of each text, for each token its place among the draft model's tokens there, from 0
 * @param limit - tokens at which texts were cut off
 */
export function simulateTree(
  ranks: readonly (readonly number[])[],
  shape: TreeShape,
  limit: number,
): SimulatedCycles {
  const { siblingDepths, width } = shape;
  const right = (text: number, start: number, depth: number): number => {
    for (let place = 0; place < depth; place += 1) {
      const rank = ranks[text]?.[start + place] ?? Infinity;
      // A sibling is a leaf: what follows it is the target's own token.
      if (rank > 0) return place + (place < siblingDepths && rank < width ? 1 : 0);
    }
    return depth;
  };
  const lengths = ranks.map(({ length }) => length);
  return simulate(lengths, { limit, mostDepth: shape.depth }, (depth) => treeRows(shape, depth), right);
}

/**
 * Runs through texts with a beam that is two paths wide.
 *
 * @param beams - of each text, for each token how many from there on a long beam has right
 * @param limit - tokens at which texts were cut off
 */
export function simulateBeam(
  beams: readonly (readonly number[])[],
  mostDepth: number,
  limit: number,
): SimulatedCycles {
  const lengths = beams.map(({ length }) => length);
  const right = (text: number, start: number, depth: number): number =>
    Math.min(beams[text]?.[start] ?? 0, depth);
  return simulate(lengths, { limit, mostDepth }, (depth) => 1 + 2 * depth, right);
}

/** Milliseconds of steps, by their number of rows. */
export interface TreeCosts {
  /** Of the target, by rows. */
  readonly targetMs: (rows: number) => number;
  /** Of the draft model's first step in a cycle, and of those after it. */
  readonly firstDraftMs: number;
  readonly nextDraftMs: number;
}

/** Expected tokens per millisecond. */
export function tokensPerMs(
  { tokens, rows, draftSteps }: Omit<SimulatedCycles, "accepted">,
  costs: TreeCosts,
): number {
  let ms = 0;
  for (const [cycle, count] of rows.entries()) {
    const steps = draftSteps[cycle] ?? 0;
    ms += costs.targetMs(count);
    if (steps > 0) ms += costs.firstDraftMs + (steps - 1) * costs.nextDraftMs;
  }
  return tokens / ms;
}

/** Every tree of at most mostRows rows that is no chain. */
export function treeShapes(mostRows: number): readonly TreeShape[] {
  const shapes: TreeShape[] = [];
  for (let depth = 1; depth < mostRows; depth += 1) {
    for (let siblingDepths = 1; siblingDepths <= depth; siblingDepths += 1) {
      for (const width of [2, 3, 4]) {
        const shape = { depth, siblingDepths, width };
        if (treeRows(shape, depth) <= mostRows) shapes.push(shape);
      }
    }
  }
  return shapes;
}

/** Every chain of at most mostRows rows. */
export function chainShapes(mostRows: number): readonly TreeShape[] {
  return Array.from({ length: mostRows - 1 }, (_, index) => ({
    depth: index + 1,
    siblingDepths: 0,
    width: 1,
  }));
}
