import { at } from "../util/array-access.js";
import { type Choice, type Frame, isInTime, moved, settled } from "./choice.js";
import type { Candidate } from "./eligibility.js";
import { type HeldPressures, type PressureKind, pressureKinds } from "./pressure-levels.js";

const pressureTexts: Readonly<Record<PressureKind, (percent: string) => string>> = {
  memory: (percent) => `memory is ${percent} taken`,
  heat: (percent) => `heat is at ${percent} of what the machine bears`,
  queue: (percent) => `the queue is ${percent} full`,
};

/** The part of the pressure that closes the most tiers. */
export function strongest(pressure: HeldPressures): {
  readonly kind: PressureKind;
  readonly tiersDown: number;
} {
  return pressureKinds
    .map((kind) => ({ kind, tiersDown: pressure[kind].tiersDown }))
    .reduce((most, next) => (next.tiersDown > most.tiersDown ? next : most));
}

/**
 * The tier for a request whose tier is closed: decided anew among the open ones below it. A remote tier above the one
 * that is asked for does not stand in for a closed one.
 */
function belowClosed(
  frame: Frame,
  asked: number,
  closed: number,
  isOpen: (candidate: Candidate) => boolean,
): number {
  const below = frame.capable.filter(({ index }) => index < closed);
  const open = below.filter(
    (candidate) => isOpen(candidate) && (candidate.tier.kind === "local" || candidate.index <= asked),
  );
  const next = open.findLast(({ index }) => index <= asked) ?? open[0];
  if (next === undefined) return below[0]?.index ?? closed;
  const { index } = settled(
    { ...frame, capable: open },
    { index: next.index, asked: next.index, changes: [] },
  );
  const { loadSeconds, workSeconds } = at(frame.candidates, index).prediction;
  // Pressure passes, so what is loaded for its sake should at least not take longer to load than to work.
  if (loadSeconds <= workSeconds) return index;
  const ready = open.findLast(
    (candidate) => candidate.index < index && candidate.tier.isReady && isInTime(frame, candidate),
  );
  return ready?.index ?? index;
}

/**
 * Lowers a choice under pressure. More pressure never gives a larger tier, by construction: each level of pressure
 * closes one more of the largest local tiers, begins where the level before it ended, and only ever moves down. So
 * whatever rule picks among the smaller tiers, a level's tier is at most the one of the level before it. Remote tiers
 * stay open, since they take neither memory nor heat here; but a choice moves to one only when that is not above what
 * the score asks for. Where all capable tiers are closed, the smallest of them answers: degrade rather than fail.
 */
export function afterPressure(frame: Frame, start: Choice, pressure: HeldPressures): Choice {
  const { kind, tiersDown } = strongest(pressure);
  const local = frame.candidates.flatMap(({ index, tier }) =>
    tier.kind === "local" && tier.isAvailable ? [index] : [],
  );
  let index = start.index;
  for (let level = 1; level <= Math.min(tiersDown, local.length - 1); level += 1) {
    const largestOpen = at(local, local.length - 1 - level);
    const isOpen = (candidate: Candidate): boolean =>
      candidate.tier.kind === "remote" || candidate.index <= largestOpen;
    if (!isOpen(at(frame.candidates, index))) index = belowClosed(frame, start.asked, index, isOpen);
  }
  if (index === start.index) return start;
  const percent = `${Math.round(pressure[kind].value * 100)}%`;
  return moved(start, at(frame.candidates, index), kind, pressureTexts[kind](percent));
}
