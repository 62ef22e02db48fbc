import { Readable } from "node:stream";

import { eventText } from "./event-stream.js";
import { ApiError, formOfStatus } from "./http-errors.js";
import type { LiveReport } from "./live-report.js";

/** Milliseconds between two reports. */
const periodMs = 1000;
/** Readers at a time; every one of them holds a connection. */
const maxReaders = 64;
/** A reader who has so many bytes waiting misses reports. */
const maxQueuedBytes = 64 * 1024;

/** Tells its readers how the runtime fares, once a second, as server-sent events. Without readers it does nothing. */
export class LiveFeed {
  readonly #report: () => LiveReport;
  readonly #readers = new Set<Readable>();
  #timer: NodeJS.Timeout | undefined;

  constructor(report: () => LiveReport) {
    this.#report = report;
  }

  get readers(): number {
    return this.#readers.size;
  }

  /**
   * Adds a reader, who gets the first report at once.
   *
   * @throws {ApiError} 503 when there are too many
   */
  open(): Readable {
    if (this.#readers.size >= maxReaders) {
      throw new ApiError(
        formOfStatus(503),
        `expected at most ${maxReaders} readers but received another one`,
      );
    }
    const reader = new Readable({ read: () => undefined, highWaterMark: maxQueuedBytes });
    this.#readers.add(reader);
    reader.once("close", () => {
      this.#readers.delete(reader);
      if (this.#readers.size === 0) this.#stop();
    });
    reader.push(this.#event());
    this.#timer ??= setInterval(() => {
      this.tell();
    }, periodMs);
    return reader;
  }

  /** Ends all streams. */
  close(): void {
    this.#stop();
    for (const reader of this.#readers) reader.push(null);
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Tells all readers now; the timer does so by itself. */
  tell(): void {
    const event = this.#event();
    for (const reader of this.#readers) if (reader.readableLength < maxQueuedBytes) reader.push(event);
  }

  #event(): string {
    return eventText(this.#report());
  }
}
