import { abortedError } from "../runtime/model-core.js";

/** How far a long piece of work is. */
export interface WorkProgress {
  /** From 0 to 1. */
  readonly fraction: number;
  /** What is being done. */
  readonly label: string;
  /** Seconds that are left at the speed so far; undefined at first. */
  readonly etaSeconds: number | undefined;
}

/** Counts work that was planned beforehand. What takes no time, because it was known, does not count as speed. */
export class WorkMeter {
  readonly #planned: number;
  readonly #onProgress: ((progress: WorkProgress) => void) | undefined;
  readonly #signal: AbortSignal | undefined;
  #done = 0;
  #timed = 0;
  #ms = 0;

  /** @param planned - units of all work, about */
  constructor(
    planned: number,
    onProgress: ((progress: WorkProgress) => void) | undefined,
    signal: AbortSignal | undefined,
  ) {
    this.#planned = planned;
    this.#onProgress = onProgress;
    this.#signal = signal;
  }

  /**
   * Does a piece of the work.
   *
   * @throws {AirError} AIR_ERR_CANCELLED when the signal aborted
   */
  async track<Result>(label: string, units: number, work: () => Promise<Result>): Promise<Result> {
    if (this.#signal?.aborted === true) throw abortedError(this.#signal);
    const started = performance.now();
    const result = await work();
    const ms = performance.now() - started;
    this.#done += units;
    if (ms > 1) {
      this.#ms += ms;
      this.#timed += units;
    }
    this.#report(label);
    return result;
  }

  #report(label: string): void {
    const left = Math.max(0, this.#planned - this.#done);
    const etaSeconds = this.#timed > 0 ? ((this.#ms / this.#timed) * left) / 1000 : undefined;
    this.#onProgress?.({ fraction: Math.min(1, this.#done / Math.max(1, this.#planned)), label, etaSeconds });
  }
}
