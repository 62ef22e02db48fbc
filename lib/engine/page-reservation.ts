import type { EvictionDecision, EvictionPolicy } from "../cache/eviction-policy.js";
import type { PagePool } from "../cache/page-pool.js";
import { at } from "../util/array-access.js";
import { byRank, outranks } from "./rank.js";
import { type Share, shareOf } from "./scheduler.js";
import type { Sequence } from "./sequence.js";

/** A share of a step whose pages are in the sequence's table. */
export interface GrantedShare extends Share<Sequence> {
  /** Index of the share's first token in the sequence. */
  readonly firstToken: number;
  /** Tokens beyond the share that the table has room for. */
  readonly spareTokens: number;
  /** What the eviction policy decided, by head group. */
  readonly decisions: readonly EvictionDecision[];
}

/** The outcome of a reservation; a share in neither list waits for pages. */
export interface Reservation {
  readonly granted: readonly GrantedShare[];
  /** Sequences that hold every page there is and need more. */
  readonly exhausted: readonly Sequence[];
  /** Runs that lost their pages. */
  readonly preemptions: number;
}

const noMass = new Float32Array(0);

/** Attention that the last step paid to the pages that are still there. */
function massOf({ table, pageMass }: Sequence, headGroup: number): Float32Array {
  return (pageMass[headGroup] ?? noMass).subarray(0, table.pages(headGroup).length);
}

function evict(sequence: Sequence, headGroups: number, incomingTokens: number, policy: EvictionPolicy) {
  const { table } = sequence;
  const decisions: EvictionDecision[] = [];
  for (let headGroup = 0; headGroup < headGroups; headGroup += 1) {
    const decision = policy.decide({
      headGroup,
      pageTokens: table.pageTokens,
      length: table.length,
      incomingTokens,
      cachedTokens: table.cachedTokens(headGroup),
      evictedTokens: table.evictedTokens(headGroup),
      pagePositions: table.pagePositions(headGroup),
      pageMass: massOf(sequence, headGroup),
    });
    table.drop(headGroup, decision.dropPages, decision.droppableFrom);
    decisions.push(decision);
  }
  return decisions;
}

function longestIdle(holders: readonly Sequence[]): Sequence | undefined {
  const idle = holders.filter((holder) => holder.state === "idle" && holder.table.heldPages > 0);
  if (idle.length === 0) return undefined;
  return idle.reduce((oldest, other) => (other.arrival < oldest.arrival ? other : oldest));
}

/** The run that ranks last, of those of the user who holds the most pages. */
function lastOfGreatestHolder(runs: readonly Sequence[]): Sequence | undefined {
  const held = new Map<string, number>();
  for (const { user, table } of runs) held.set(user, (held.get(user) ?? 0) + table.heldPages);
  const most = Math.max(...held.values());
  return runs
    .filter(({ user }) => held.get(user) === most)
    .sort(byRank)
    .at(-1);
}

/**
 * Whose pages `sequence` may take: the longest idle first, then what still waits to begin, then the run of a lower rank
 * that has the lowest priority; among equals the user's who holds the most pages, and of those the last.
 */
function findVictim(sequence: Sequence, holders: readonly Sequence[]): Sequence | undefined {
  const others = holders.filter((other) => other !== sequence && other.table.heldPages > 0);
  const idle = longestIdle(others);
  if (idle !== undefined) return idle;
  const waiting = others.filter(({ state }) => state === "waiting").sort(byRank);
  if (waiting.length > 0) return waiting.at(-1);
  const lower = others.filter((other) => outranks(sequence, other));
  const lowest = Math.min(...lower.map(({ priority }) => priority));
  return lastOfGreatestHolder(lower.filter(({ priority }) => priority === lowest));
}

/**
 * Frees a sequence's pages; what it knows stays, and is computed again when it runs again.
 *
 * @returns whether it was a run that had begun
 */
function preempt(victim: Sequence): boolean {
  victim.table.release();
  if (victim.state !== "running") return false;
  victim.state = "waiting";
  return true;
}

/**
 * Takes pages from idle sequences, the longest idle first, until every pool has enough free ones.
 *
 * @param needed - pages, by head group
 * @returns whether there are enough now
 */
export function makeRoom(
  needed: readonly number[],
  pools: readonly PagePool[],
  holders: readonly Sequence[],
): boolean {
  const isShort = (): boolean => pools.some((pool, headGroup) => pool.freePages < at(needed, headGroup));
  while (isShort()) {
    const victim = longestIdle(holders);
    if (victim === undefined) return false;
    preempt(victim);
  }
  return true;
}

/** Tokens of a share that are only guesses: nobody loses pages for them. */
function guessesIn({ sequence, tokens }: Share<Sequence>): number {
  const firstGuess = sequence.knownTokens - sequence.draftTokens;
  return Math.max(0, sequence.computedTokens + tokens - Math.max(firstGuess, sequence.computedTokens));
}

/** Adds the guesses of a share that was granted without them, as far as there are pages left. */
function withGuesses(share: GrantedShare, guesses: number): GrantedShare {
  const { table } = share.sequence;
  const added = Math.min(guesses, table.appendableTokens);
  table.append(added);
  return { ...share, tokens: share.tokens + added, rows: share.rows + added };
}

/**
 * Evicts what the policy drops and takes pages for the shares of a step, by rank. When pages run out, a share takes
 * them from idle sequences, then from runs of lower rank (preempting them); else it waits for runs of higher rank.
 * The first run is never made to wait, so some run always gets on: it finishes, or fails alone. Guesses get the pages
 * that nobody needs.
 *
 * @param holders - every sequence of the engine, running or not
 */
export function reservePages(
  shares: readonly Share<Sequence>[],
  holders: readonly Sequence[],
  headGroups: number,
  policy: EvictionPolicy,
): Reservation {
  const granted: GrantedShare[] = [];
  const exhausted: Sequence[] = [];
  const guessing = new Map<Sequence, number>();
  let preemptions = 0;
  for (const share of [...shares].sort((a, b) => byRank(a.sequence, b.sequence))) {
    const { sequence } = share;
    if (sequence.state !== "running") continue; // preempted for a share of this step
    const wantedSpare = share.rows > 0 ? sequence.spareTokens : 0; // what is known comes first
    const decisions = evict(sequence, headGroups, share.tokens + wantedSpare, policy);
    const { table } = sequence;
    const guesses = guessesIn(share);
    const needed = share.tokens - guesses;
    while (table.appendableTokens < needed) {
      const victim = findVictim(sequence, holders);
      if (victim === undefined) break;
      if (preempt(victim)) preemptions += 1;
    }
    const room = table.appendableTokens;
    const firstToken = table.length;
    if (room < needed) {
      const waits = holders.some(
        (other) => other.state === "running" && outranks(other, sequence) && other.table.heldPages > 0,
      );
      if (waits) continue;
      if (room === 0) {
        exhausted.push(sequence);
        continue;
      }
    }
    const taken = { ...shareOf(sequence, Math.min(room, needed)), isPrompt: share.isPrompt };
    const spareTokens = Math.min(room - taken.tokens, wantedSpare);
    table.append(taken.tokens + spareTokens);
    granted.push({ ...taken, firstToken, spareTokens, decisions });
    if (taken.tokens === needed) guessing.set(sequence, guesses);
  }
  const complete = granted.map((share) => withGuesses(share, guessing.get(share.sequence) ?? 0));
  return { granted: complete, exhausted, preemptions };
}
