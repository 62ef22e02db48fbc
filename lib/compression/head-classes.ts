import { at } from "../util/array-access.js";

/** One thing that can be taken from a model, and what its predictions lose. */
export interface Demotion {
  /** KV head, layer * kvHeads + head. */
  readonly head: number;
  readonly to: "stream" | "dropped";
  /** Divergence of this demotion alone. */
  readonly divergence: number;
}

/** Demotions in the order in which they are made: every head to the stream class before any is dropped. */
export function orderDemotions(demotions: readonly Demotion[]): readonly Demotion[] {
  const rank = ({ to }: Demotion): number => (to === "stream" ? 0 : 1);
  return [...demotions].sort((a, b) => rank(a) - rank(b) || a.divergence - b.divergence || a.head - b.head);
}

/**
 * How many of the ordered demotions fit within a limit: the most that bisection finds. The cost of more demotions is mostly
 * more; where it is not, the answer still is within the limit.
 *
 * @param cost - of the first n demotions, compared with `limit`
 */
export async function countWithin(
  demotions: number,
  limit: number,
  cost: (count: number) => Promise<number>,
): Promise<number> {
  let [within, beyond] = [0, demotions + 1];
  let next = demotions; // all of them, first: models that were trained short even gain by windows
  while (beyond - within > 1) {
    if ((await cost(next)) <= limit) within = next;
    else beyond = next;
    next = Math.floor((within + beyond) / 2);
  }
  return within;
}

/** How many costs {@link countWithin} asks for, at most. */
export function bisectionSteps(demotions: number): number {
  return demotions === 0 ? 0 : 1 + Math.ceil(Math.log2(demotions + 1));
}

/** The KV heads that n demotions stream and drop. */
export function demote(
  ordered: readonly Demotion[],
  count: number,
): { readonly streamed: ReadonlySet<number>; readonly dropped: ReadonlySet<number> } {
  const streamed = new Set<number>();
  const dropped = new Set<number>();
  for (let order = 0; order < count; order += 1) {
    const { head, to } = at(ordered, order);
    if (to === "stream") streamed.add(head);
    else {
      streamed.delete(head);
      dropped.add(head);
    }
  }
  return { streamed, dropped };
}
