import type { Pressure } from "./decision.js";
import {
  type HysteresisSettings,
  type HysteresisState,
  initialHysteresis,
  type LevelLimits,
  nextLevel,
  settledLevel,
} from "./hysteresis.js";

/** The parts of pressure, in the order in which they are named when several ask for the same. */
export const pressureKinds = ["memory", "heat", "queue"] as const;

export type PressureKind = (typeof pressureKinds)[number];

/** A part of the pressure and what it asks for, after hysteresis. */
export interface HeldPressure {
  /** As measured, 0 to 1. */
  readonly value: number;
  /** How many of the largest local tiers are closed; the smallest local tier never is. */
  readonly tiersDown: number;
}

/** What the policy is told of the pressure. */
export type HeldPressures = Readonly<Record<PressureKind, HeldPressure>>;

/** A level of pressure: its limits and what it asks for. */
export interface PressureStep extends LevelLimits {
  /** Does not fall from one step to the next. */
  readonly tiersDown: number;
}

/** How the level of a part of the pressure follows its value. */
export interface PressureLadder<Step extends PressureStep = PressureStep> extends HysteresisSettings {
  readonly limits: readonly Step[];
}

/** A level of heat: before it closes tiers, it makes the work itself smaller. */
export interface HeatStep extends PressureStep {
  /** Of the threads that a cool machine computes with, above 0 to 1. */
  readonly threadsFraction: number;
  /** Of the sequences that a cool machine takes into a step together, above 0 to 1. */
  readonly batchFraction: number;
}

export interface PressureLadders {
  readonly memory: PressureLadder;
  readonly heat: PressureLadder<HeatStep>;
  readonly queue: PressureLadder;
}

/**
 * Memory closes tiers late, because a model that is loaded is meant to fill it, and heat after it has taken threads and
 * batches. A queue counts at once: requests that wait are there already. Heat falls slowly, as cooling does.
 */
export const defaultLadders: PressureLadders = {
  memory: {
    limits: [
      { up: 0.92, down: 0.85, tiersDown: 1 },
      { up: 0.97, down: 0.92, tiersDown: 2 },
    ],
    riseMs: 2000,
    fallMs: 15_000,
  },
  heat: {
    limits: [
      { up: 0.4, down: 0.2, tiersDown: 0, threadsFraction: 0.75, batchFraction: 1 },
      { up: 0.6, down: 0.4, tiersDown: 0, threadsFraction: 0.5, batchFraction: 0.5 },
      { up: 0.8, down: 0.6, tiersDown: 1, threadsFraction: 0.5, batchFraction: 0.5 },
      { up: 1, down: 0.8, tiersDown: 2, threadsFraction: 0.25, batchFraction: 0.25 },
    ],
    riseMs: 2000,
    fallMs: 15_000,
  },
  queue: {
    limits: [
      { up: 0.5, down: 0.25, tiersDown: 1 },
      { up: 0.85, down: 0.5, tiersDown: 2 },
    ],
    riseMs: 0,
    fallMs: 5000,
  },
};

function tiersDownAt(level: number, { limits }: PressureLadder): number {
  return level === 0 ? 0 : (limits[level - 1]?.tiersDown ?? 0);
}

/** Pressure without a past: of a first request, of simulations and of tests. */
export function settledPressures(
  pressure: Pressure,
  ladders: PressureLadders = defaultLadders,
): HeldPressures {
  const held = (kind: PressureKind): HeldPressure => ({
    value: pressure[kind],
    tiersDown: tiersDownAt(settledLevel(pressure[kind], ladders[kind].limits), ladders[kind]),
  });
  return { memory: held("memory"), heat: held("heat"), queue: held("queue") };
}

/** Follows one part of the pressure with hysteresis. */
export class PressureGate<Step extends PressureStep = PressureStep> {
  readonly #ladder: PressureLadder<Step>;
  #state: HysteresisState = initialHysteresis;
  #value = 0;

  constructor(ladder: PressureLadder<Step>) {
    this.#ladder = ladder;
  }

  /** 0 without pressure, else the number of the step. */
  get level(): number {
    return this.#state.level;
  }

  /** What the level asks for; undefined at level 0. */
  get step(): Step | undefined {
    return this.#ladder.limits[this.#state.level - 1];
  }

  get held(): HeldPressure {
    return { value: this.#value, tiersDown: tiersDownAt(this.#state.level, this.#ladder) };
  }

  /** Takes a value in; NaN, of a sensor that gives nothing, changes neither level nor value. */
  update(value: number, nowMs: number): HeldPressure {
    if (!Number.isNaN(value)) this.#value = value;
    this.#state = nextLevel(this.#state, value, nowMs, this.#ladder);
    return this.held;
  }
}
