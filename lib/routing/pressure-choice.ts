import { at } from "../util/array-access.js";
import { type Choice, fastest, type Frame, isInTime, moved } from "./choice.js";
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

/** The tier for a request whose tier is closed: the largest that is open below it, as far as time allows. */
function belowClosed(frame: Frame, closed: number, isOpen: (candidate: Candidate) => boolean): Candidate {
  const below = frame.capable.filter(({ index }) => index < closed);
  const open = below.filter(isOpen);
  if (open.length === 0) return below[0] ?? at(frame.candidates, closed);
  const inTime = open.filter((candidate) => isInTime(frame, candidate));
  const largest = inTime.at(-1);
  if (largest === undefined) return fastest(open) ?? at(open, 0);
  const { loadSeconds, workSeconds } = largest.prediction;
  // Pressure passes, so what is loaded for its sake should at least not take longer to load than to work.
  if (loadSeconds <= workSeconds) return largest;
  return inTime.findLast(({ tier }) => tier.isReady) ?? largest;
}

/**
 * Lowers a choice under pressure. More pressure never gives a larger tier, by construction: each level of pressure
 * closes one more of the largest local tiers, begins where the level before it ended, and only ever moves down. So
 * whatever rule picks among the smaller tiers, a level's tier is at most the one of the level before it. Remote tiers
 * stay open, since they take neither memory nor heat here; but a choice moves to one only when that is smaller than
 * what it replaces. Where all capable tiers are closed, the smallest of them answers: degrade rather than fail.
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
    if (!isOpen(at(frame.candidates, index))) index = belowClosed(frame, index, isOpen).index;
  }
  if (index === start.index) return start;
  const percent = `${Math.round(pressure[kind].value * 100)}%`;
  return moved(start, at(frame.candidates, index), kind, pressureTexts[kind](percent));
}
