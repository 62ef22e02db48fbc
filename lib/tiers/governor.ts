import {
  defaultLadders,
  type HeatStep,
  type HeldPressure,
  type HeldPressures,
  PressureGate,
  type PressureLadders,
} from "../routing/pressure-levels.js";
import type { SensorReading, Sensors } from "./sensors.js";

/** Tells the time; never goes back. */
export interface Clock {
  nowMs(): number;
}

/** How the governor works. */
export interface GovernorSettings {
  readonly periodMs: number;
  /** So long a sensor that falls silent is taken at its last word; after that, as if it were not there. */
  readonly staleMs: number;
  readonly ladders: PressureLadders;
  /** Power that the board may draw for long; from 80 % of it on power counts as heat does. Absent: as much as it wants. */
  readonly maxWatts?: number | undefined;
}

/** Samples every second, which costs next to nothing and is quick against the minutes in which machines heat up. */
export const defaultGovernorSettings: GovernorSettings = {
  periodMs: 1000,
  staleMs: 10_000,
  ladders: defaultLadders,
};

/** What the machine bears now. */
export interface GovernorState {
  /** 0: all that was configured; each level above takes more away. */
  readonly level: number;
  /** Of the threads and of the sequences of a step that a cool machine takes: above 0 to 1. */
  readonly threadsFraction: number;
  readonly batchFraction: number;
  /** How many of the largest local tiers are closed for heat. */
  readonly tiersDown: number;
  readonly heat: HeldPressure;
  readonly memory: HeldPressure;
  /** The last reading; undefined before the first, and when the sensors fail. */
  readonly reading: SensorReading | undefined;
}

/** What a governor is made of. */
export interface GovernorOptions {
  readonly sensors: Sensors;
  /** Default: performance.now(). */
  readonly clock?: Clock;
  readonly settings?: GovernorSettings;
  /** Called after each change of the level, with the new state and the one before. */
  readonly onChange?: (state: GovernorState, before: GovernorState) => void;
}

const coolStep: Pick<HeatStep, "threadsFraction" | "batchFraction"> = {
  threadsFraction: 1,
  batchFraction: 1,
};
/** Power counts from this share of maxWatts on. */
const powerStart = 0.8;

function clamped(value: number): number {
  return Math.min(1, Math.max(0, value));
}

/** The last sound value of a sensor, as long as it is not too old; NaN in between, 0 after. */
class LastWord {
  #atMs: number | undefined;

  take(value: number | undefined, nowMs: number, staleMs: number): number {
    if (value !== undefined && Number.isFinite(value)) {
      this.#atMs = nowMs;
      return clamped(value);
    }
    return this.#atMs !== undefined && nowMs - this.#atMs < staleMs ? Number.NaN : 0;
  }
}

/**
 * Watches heat, power and memory, and takes threads, batch and tiers away before the machine throttles; gives them back
 * step by step once it is cooler. Sensors that vanish, fail or give nonsense take nothing away for long.
 *
 * @example
 * const governor = new Governor({ sensors: systemSensors() });
 * governor.start();
 * const { threadsFraction } = governor.state();
 */
export class Governor {
  readonly #sensors: Sensors;
  readonly #clock: Clock;
  readonly #settings: GovernorSettings;
  readonly #onChange: GovernorOptions["onChange"];
  readonly #heat: PressureGate<HeatStep>;
  readonly #memory: PressureGate;
  readonly #queue: PressureGate;
  readonly #lastHeat = new LastWord();
  readonly #lastMemory = new LastWord();
  #reading: SensorReading | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor({ sensors, clock, settings, onChange }: GovernorOptions) {
    this.#sensors = sensors;
    this.#clock = clock ?? { nowMs: () => performance.now() };
    this.#settings = settings ?? defaultGovernorSettings;
    this.#onChange = onChange;
    const { ladders } = this.#settings;
    this.#heat = new PressureGate(ladders.heat);
    this.#memory = new PressureGate(ladders.memory);
    this.#queue = new PressureGate(ladders.queue);
  }

  /** Samples now and then every period, by a timer that does not keep the process alive. Idempotent. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => {
      this.sample();
    }, this.#settings.periodMs);
    this.#timer.unref();
    this.sample();
  }

  /** Stops sampling; the state stays as it is. Idempotent. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** What the machine bears, by the last sample. */
  state(): GovernorState {
    const { threadsFraction, batchFraction } = this.#heat.step ?? coolStep;
    const heat = this.#heat.held;
    return {
      level: this.#heat.level,
      threadsFraction,
      batchFraction,
      tiersDown: heat.tiersDown,
      heat,
      memory: this.#memory.held,
      reading: this.#reading,
    };
  }

  /**
   * All pressure, after hysteresis: what the policy is asked with.
   *
   * @param queue - requests that wait, of those that may
   */
  pressures(queue: number): HeldPressures {
    return {
      memory: this.#memory.held,
      heat: this.#heat.held,
      queue: this.#queue.update(queue, this.#clock.nowMs()),
    };
  }

  /** Takes one reading in; the timer does so by itself. */
  sample(): void {
    const nowMs = this.#clock.nowMs();
    const { staleMs } = this.#settings;
    const before = this.state();
    this.#reading = this.#read();
    this.#heat.update(this.#lastHeat.take(this.#heatOf(this.#reading), nowMs, staleMs), nowMs);
    this.#memory.update(this.#lastMemory.take(this.#reading?.memory, nowMs, staleMs), nowMs);
    if (this.#heat.level !== before.level) this.#onChange?.(this.state(), before);
  }

  #read(): SensorReading | undefined {
    try {
      return this.#sensors.read();
    } catch {
      return undefined;
    }
  }

  /** The worst of temperature, throttling and power; undefined when none of them is known. */
  #heatOf(reading: SensorReading | undefined): number | undefined {
    if (reading === undefined) return undefined;
    const { maxWatts } = this.#settings;
    const { heat, isThrottling, watts } = reading;
    const power =
      maxWatts === undefined || watts === undefined
        ? undefined
        : (watts / maxWatts - powerStart) / (1 - powerStart);
    const known = [heat, power, isThrottling ? 1 : undefined].filter(
      (value): value is number => value !== undefined && Number.isFinite(value),
    );
    return known.length === 0 ? undefined : Math.max(...known);
  }
}

/** Threads, or sequences of a step, that a fraction leaves: rounded, and at least one. */
export function fractionOf(count: number, fraction: number): number {
  return Math.max(1, Math.round(count * fraction));
}
