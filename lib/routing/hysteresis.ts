/** Where a level begins and where it ends. The gap between the two keeps a value that wavers from switching it. */
export interface LevelLimits {
  /** The level is entered at this value or above. */
  readonly up: number;
  /** The level is left at this value or below; less than `up`. */
  readonly down: number;
}

/** Levels over 0, and how long a value has to persist before the level follows it. */
export interface HysteresisSettings {
  /** Of levels 1, 2 and so on; both limits ascend. */
  readonly limits: readonly LevelLimits[];
  /** Milliseconds without a break for which a value has to be at `up` or above. */
  readonly riseMs: number;
  /** Milliseconds without a break for which a value has to be at `down` or below. */
  readonly fallMs: number;
}

/** What is remembered between two values. */
export interface HysteresisState {
  /** From 0 to the number of limits. */
  readonly level: number;
  /** Where the values have been calling for since `sinceMs`: one level up, one down, or nowhere. */
  readonly pull: 1 | 0 | -1;
  readonly sinceMs: number;
}

/** Before the first value. */
export const initialHysteresis: HysteresisState = { level: 0, pull: 0, sinceMs: 0 };

function pullOf(level: number, value: number, limits: readonly LevelLimits[]): 1 | 0 | -1 {
  const above = limits[level];
  if (above !== undefined && value >= above.up) return 1;
  const own = limits[level - 1];
  return own !== undefined && value <= own.down ? -1 : 0;
}

/**
 * The state after a value. A level changes by one at a time, and the wait begins anew after each, so that a level lasts
 * at least the shorter of the two waits, and every way up or down is a staircase. (Waits of 0 take all steps at once.)
 * Of two courses of values of which one is never below the other, its level is never below the other's either.
 *
 * @param value - NaN, of a sensor that gives nothing, keeps the level and ends the wait
 * @param nowMs - of a clock that does not go back; where it does, the wait begins anew
 */
export function nextLevel(
  state: HysteresisState,
  value: number,
  nowMs: number,
  { limits, riseMs, fallMs }: HysteresisSettings,
): HysteresisState {
  const pull = pullOf(state.level, value, limits);
  const sinceMs = pull === state.pull ? Math.min(state.sinceMs, nowMs) : nowMs;
  const waitMs = pull > 0 ? riseMs : fallMs;
  if (pull === 0 || nowMs - sinceMs < waitMs) return { level: state.level, pull, sinceMs };
  const level = state.level + pull;
  const pullOn = pullOf(level, value, limits);
  const moved: HysteresisState = { level, pull: pullOn, sinceMs: nowMs };
  return pullOn === pull && waitMs === 0 ? nextLevel(moved, value, nowMs, { limits, riseMs, fallMs }) : moved;
}

/** The level of a value that has been there for good, coming from below: what a first look at it gives. */
export function settledLevel(value: number, limits: readonly LevelLimits[]): number {
  return limits.findLastIndex(({ up }) => value >= up) + 1;
}
