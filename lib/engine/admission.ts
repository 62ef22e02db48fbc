import type { EvictionPolicy } from "../cache/eviction-policy.js";
import type { PagePool } from "../cache/page-pool.js";
import type { PrefixReuse } from "./prefix-reuse.js";
import type { Sequence } from "./sequence.js";

/** What a run has to find room in. */
export interface AdmissionRoom {
  readonly pools: readonly PagePool[];
  readonly policy: EvictionPolicy;
  /** Most tokens of a step. */
  readonly chunkTokens: number;
  readonly prefixes: PrefixReuse | undefined;
}

/** Pages that a head group lacks before the sequence can compute what it knows. */
function missingPages(sequence: Sequence, headGroup: number, room: AdmissionRoom): number {
  const { table, knownTokens, spareTokens } = sequence;
  const { pageTokens } = table;
  const wanted = knownTokens + spareTokens;
  const { policy, chunkTokens } = room;
  const capacity = policy.capacityTokens?.(headGroup, chunkTokens, pageTokens);
  const tokens = Math.min(wanted, capacity ?? table.cachedTokens(headGroup) + chunkTokens);
  return Math.ceil(tokens / pageTokens) - table.pages(headGroup).length;
}

/**
 * Pages of a head group that the sequence could take: free ones, those of idle sequences, and those of runs that it may
 * preempt for its priority. Of the rest each run gets what it lacks, and a page to go on with.
 */
function obtainablePages(
  sequence: Sequence,
  headGroup: number,
  holders: readonly Sequence[],
  room: AdmissionRoom,
): number {
  let pages = room.pools[headGroup]?.freePages ?? 0;
  for (const other of holders) {
    if (other === sequence) continue;
    const isBelow = other.state !== "running" || other.priority < sequence.priority;
    if (isBelow) pages += other.table.pages(headGroup).length;
    else pages -= Math.max(0, missingPages(other, headGroup, room)) + 1;
  }
  return pages;
}

/** Whether there are pages for the sequence's text besides those that runs under way are going to need. */
function fits(sequence: Sequence, holders: readonly Sequence[], room: AdmissionRoom): boolean {
  const shared = room.prefixes?.sharedPages(sequence);
  return room.pools.every((_, headGroup) => {
    const missing = missingPages(sequence, headGroup, room) - (shared?.[headGroup] ?? 0);
    return missing <= 0 || missing <= obtainablePages(sequence, headGroup, holders, room);
  });
}

/**
 * Chooses who of those that wait may begin: the first of them as long as there are pages for its text, so that it is not
 * begun only to be preempted. Nobody overtakes one that waits for pages. The first may always begin when nothing is
 * under way.
 *
 * @param waiting - in the order in which they may begin
 * @param holders - every sequence of the engine
 */
export function nextToBegin(
  waiting: readonly Sequence[],
  holders: readonly Sequence[],
  room: AdmissionRoom,
): Sequence | undefined {
  const first = waiting[0];
  if (first === undefined) return undefined;
  const isQuiet = holders.every(({ state }) => state !== "running");
  return isQuiet || fits(first, holders, room) ? first : undefined;
}
