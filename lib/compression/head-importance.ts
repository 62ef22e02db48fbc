import type { DecoderSpec } from "../native/native.js";
import { at } from "../util/array-access.js";

/** Rounds in which query heads are chosen; what is left is scored anew in each, because heads stand in for each other. */
const rounds = 4;

/** Up to this many heads, all are tried; of more, those that contribute least. */
const triedHeads = 128;

/** Which heads are tried beyond {@link triedHeads}: this many times those that are to go. */
const triedPerMasked = 2;

/** What choosing query heads needs. */
export interface HeadImportanceOptions {
  readonly spec: Pick<DecoderSpec, "layers" | "queryHeads">;
  /** Heads to mask, of all. */
  readonly count: number;
  /** Most heads of one layer. */
  readonly layerCap: number;
  /** [layers * queryHeads] what each head contributes; decides only which heads are tried. */
  readonly contributions: Float64Array;
  /** Divergence from the whole model without these heads. */
  readonly score: (masked: ReadonlySet<number>) => Promise<number>;
}

/** The heads that are least missed. */
export interface HeadImportance {
  readonly masked: ReadonlySet<number>;
  /** [layers * queryHeads] divergence without the head alone; null where it was not tried. */
  readonly scores: readonly (number | null)[];
}

/** How many scores {@link chooseQueryHeads} asks for, at most. */
export function headScoreCount(heads: number, count: number): number {
  return count === 0 ? 0 : shortlistLength(heads, count) * Math.min(rounds, count);
}

function shortlistLength(heads: number, count: number): number {
  return Math.min(heads, Math.max(triedHeads, count * triedPerMasked));
}

/**
 * Chooses query heads to leave out by what the model's predictions lose without each (ablation; Michel et al., arXiv
 * 1905.10650, rank by gradients instead). In each round a part of the heads goes, those with the least divergence on top
 * of what is gone already.
 */
export async function chooseQueryHeads(options: HeadImportanceOptions): Promise<HeadImportance> {
  const { spec, count, layerCap, contributions, score } = options;
  const heads = spec.layers * spec.queryHeads;
  const shortlist = Array.from({ length: heads }, (_, head) => head)
    .sort((a, b) => at(contributions, a) - at(contributions, b))
    .slice(0, shortlistLength(heads, count))
    .sort((a, b) => a - b);
  const masked = new Set<number>();
  const scores = new Array<number | null>(heads).fill(null);
  const layerOf = (head: number): number => Math.floor(head / spec.queryHeads);
  for (let round = 1; round <= rounds && masked.size < count; round += 1) {
    const target = Math.min(count, Math.ceil((count * round) / rounds));
    if (target === masked.size) continue;
    const candidates: { head: number; divergence: number }[] = [];
    for (const head of shortlist.filter((candidate) => !masked.has(candidate))) {
      const divergence = await score(new Set([...masked, head]));
      if (round === 1) scores[head] = divergence;
      candidates.push({ head, divergence });
    }
    candidates.sort((a, b) => a.divergence - b.divergence);
    for (const { head } of candidates) {
      if (masked.size === target) break;
      const inLayer = [...masked].filter((other) => layerOf(other) === layerOf(head)).length;
      if (inLayer < layerCap) masked.add(head);
    }
  }
  return { masked, scores };
}
