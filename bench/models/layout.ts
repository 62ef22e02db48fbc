import type { ModelShape } from "./shapes.js";

/** Where a target row comes from: a source row, zeros, or noise that cannot reach the output. */
export type RowOrigin = number | "zero" | "noise";

/** Columns [from, from + length) of a source row land at [to, to + length) of its target row. */
export interface ColumnRun {
  readonly from: number;
  readonly to: number;
  readonly length: number;
}

/** How one matrix [rows, columns] of the target is made from the source's matrix of the same name. */
export interface MatrixLayout {
  readonly rows: number;
  readonly columns: number;
  readonly rowOrigin: (row: number) => RowOrigin;
  readonly columnRuns: readonly ColumnRun[];
  /** What fills the other columns of a row that has a source. */
  readonly otherColumns: "zero" | "noise";
  /** Multiplies the source's weights. */
  readonly factor: number;
}

/** The matrices of a layer, by their GGUF names. */
export type LayerMatrix = "attn_q" | "attn_k" | "attn_v" | "attn_output" | "ffn_gate" | "ffn_up" | "ffn_down";

/**
 * Layouts of a layer's matrices that keep the function: residual channels from `source.width` on stay zero, since
 * nothing writes to them; what reads them may be noise. Heads and feed-forward units beyond the source's compute
 * noise, and their columns in attn_output and ffn_down are zero.
 */
export function layerLayouts(
  source: ModelShape,
  target: ModelShape,
): Readonly<Record<LayerMatrix, MatrixLayout>> {
  const fromResidual = {
    columns: target.width,
    columnRuns: [run(0, 0, source.width)],
    otherColumns: "noise",
  } as const;
  const toResidual = {
    rows: target.width,
    rowOrigin: (row: number): RowOrigin => (row < source.width ? row : "zero"),
    otherColumns: "zero",
    factor: 1,
  } as const;
  const spread = target.headDim / source.headDim;
  const queryRows = headRows(
    source,
    target,
    source.queryHeads / source.kvHeads,
    target.queryHeads / target.kvHeads,
  );
  const kvRows = headRows(source, target, 1, 1);
  const feedForward = {
    ...fromResidual,
    rows: target.feedForward,
    rowOrigin: (row: number): RowOrigin => (row < source.feedForward ? row : "noise"),
    factor: 1,
  };
  return {
    // Scores are divided by sqrt(headDim), which grows by sqrt(spread).
    attn_q: { ...fromResidual, ...queryRows.rotated, factor: Math.sqrt(spread) },
    attn_k: { ...fromResidual, ...kvRows.rotated, factor: 1 },
    attn_v: { ...fromResidual, ...kvRows.plain, factor: 1 },
    attn_output: { ...toResidual, columns: target.queryHeads * target.headDim, columnRuns: queryRows.runs },
    ffn_gate: feedForward,
    ffn_up: feedForward,
    ffn_down: { ...toResidual, columns: target.feedForward, columnRuns: [run(0, 0, source.feedForward)] },
  };
}

/** Token embedding: unused channels are zero. Tokens beyond the source's repeat its rows. */
export function embeddingLayout(
  source: ModelShape,
  target: ModelShape,
  tokens: number,
  vocab: number,
): MatrixLayout {
  return {
    rows: vocab,
    columns: target.width,
    rowOrigin: (row) => row % tokens,
    columnRuns: [run(0, 0, source.width)],
    otherColumns: "zero",
    factor: 1,
  };
}

/** Output matrix: as the embedding, but what reads the zero channels is noise. */
export function outputLayout(
  source: ModelShape,
  target: ModelShape,
  tokens: number,
  vocab: number,
): MatrixLayout {
  return { ...embeddingLayout(source, target, tokens, vocab), otherColumns: "noise" };
}

/** The layout of a matrix in a layer that the source does not have. */
export function withoutSource(layout: MatrixLayout): MatrixLayout {
  const origin: RowOrigin = layout.otherColumns;
  return { ...layout, rowOrigin: () => origin };
}

interface HeadRows {
  /** Rows of a matrix whose output is rotated by RoPE. */
  readonly rotated: { readonly rows: number; readonly rowOrigin: (row: number) => RowOrigin };
  /** Rows of one whose output is not: dims keep their place, so that attn_output can copy whole blocks. */
  readonly plain: { readonly rows: number; readonly rowOrigin: (row: number) => RowOrigin };
  /** Columns of the matrix that reads the heads' plain output. */
  readonly runs: readonly ColumnRun[];
}

/** Head (group g, member m) of `sourceGroup` heads per group moves to member m of the wider group. */
function headRows(
  source: ModelShape,
  target: ModelShape,
  sourceGroup: number,
  targetGroup: number,
): HeadRows {
  const spread = target.headDim / source.headDim;
  const rows = target.kvHeads * targetGroup * target.headDim;
  const originOf = (row: number, sourceDim: (dim: number) => number): RowOrigin => {
    const head = Math.floor(row / target.headDim);
    const group = Math.floor(head / targetGroup);
    const member = head % targetGroup;
    if (group >= source.kvHeads || member >= sourceGroup) return "noise";
    const dim = sourceDim(row % target.headDim);
    // Spare dims of a source head are zero on both sides: noise would add to its scores.
    return dim < 0 ? "zero" : (group * sourceGroup + member) * source.headDim + dim;
  };
  // Pair j turns by base^(-2j/headDim), the frequency of pair j * spread in a head `spread` times as wide.
  const rotatedDim = (dim: number): number => {
    const pair = Math.floor(dim / 2);
    return pair % spread === 0 ? 2 * (pair / spread) + (dim % 2) : -1;
  };
  const plainDim = (dim: number): number => (dim < source.headDim ? dim : -1);
  const runs = Array.from({ length: source.kvHeads * sourceGroup }, (_, head) => {
    const group = Math.floor(head / sourceGroup);
    const targetHead = group * targetGroup + (head % sourceGroup);
    return run(head * source.headDim, targetHead * target.headDim, source.headDim);
  });
  return {
    rotated: { rows, rowOrigin: (row) => originOf(row, rotatedDim) },
    plain: { rows, rowOrigin: (row) => originOf(row, plainDim) },
    runs,
  };
}

function run(from: number, to: number, length: number): ColumnRun {
  return { from, to, length };
}
