import type { FastifyBaseLogger } from "fastify";

import type { TierInput } from "../tiers/tier.js";
import { type LogFileLimits, LogFiles } from "./log-files.js";

export { readLog } from "./log-files.js";

/** Options of the local request log. */
export interface RequestLogOptions extends Partial<LogFileLimits> {
  /** Where its files are; made if it is missing, for this user only. */
  readonly directory: string;
  /** That those whose requests are written down have agreed to it. Without it there is no log. */
  readonly consent: true;
  /** Write prompts and answers down, too. Default: only how long they are. */
  readonly texts?: boolean;
}

/** What is written down of an answer, besides the time. */
export interface AnswerRecord {
  readonly id: string;
  readonly route: string;
  /** Name of the API key. */
  readonly key: string | null;
  readonly ms: number;
  readonly tier?: string;
  readonly reason?: string;
  readonly promptTokens?: number;
  readonly reusedTokens?: number;
  readonly completionTokens?: number;
  readonly finishReason?: string;
  readonly seed?: number;
  readonly firstTokenMs?: number;
  /** Code of the error that ended it. */
  readonly error?: string;
}

/** What was said. */
export interface AnswerTexts {
  readonly input: TierInput;
  readonly output: string;
}

/** Counters since the log was opened. */
export interface RequestLogStats {
  readonly written: number;
  /** Records that are nowhere, as the disk was full or slow. */
  readonly dropped: number;
  readonly bytes: number;
}

/** Memory for records that wait for the disk. */
const maxPendingBytes = 2 ** 20;
/** Between two complaints. */
const complaintMs = 60_000;
const pruneMs = 60_000;

/** A text in the log: without consent to texts, what it was is not to be told from it. */
function redact(text: string): object {
  return { characters: text.length };
}

/**
 * Writes down who asked what and what came of it, on this machine only, for a day. Serving never waits for it: what the
 * disk does not take is dropped and counted.
 */
export class RequestLog {
  readonly #files: LogFiles;
  readonly #hasTexts: boolean;
  readonly #logger: FastifyBaseLogger | undefined;
  readonly #timer: NodeJS.Timeout;
  #pending: string[] = [];
  #pendingBytes = 0;
  #writing: Promise<void> | undefined;
  #written = 0;
  #dropped = 0;
  #complainedMs = -Infinity;
  #isClosed = false;

  constructor(options: RequestLogOptions, logger?: FastifyBaseLogger, files?: LogFiles) {
    this.#files = files ?? new LogFiles(options.directory, options);
    this.#hasTexts = options.texts === true;
    this.#logger = logger;
    this.#timer = setInterval(() => {
      this.#startWriting();
    }, pruneMs).unref();
    this.#startWriting(); // what an earlier run left behind may be too old
  }

  get stats(): RequestLogStats {
    return { written: this.#written, dropped: this.#dropped, bytes: this.#files.bytes };
  }

  /** Writes a record down soon. Never throws. */
  add(record: AnswerRecord, { input, output }: AnswerTexts): void {
    if (this.#isClosed) return;
    const show = (text: string): unknown => (this.#hasTexts ? text : redact(text));
    const line = `${JSON.stringify({
      time: new Date().toISOString(),
      ...record,
      input:
        typeof input === "string"
          ? show(input)
          : input.map(({ role, content }) => ({ role, content: show(content) })),
      output: show(output),
    })}\n`;
    const bytes = Buffer.byteLength(line);
    if (this.#pendingBytes + bytes > maxPendingBytes) {
      this.#dropped += 1;
      return;
    }
    this.#pending.push(line);
    this.#pendingBytes += bytes;
    this.#startWriting();
  }

  /** Resolves when nothing is pending. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  /** Writes what is pending, and nothing that comes after. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.flush();
  }

  #startWriting(): void {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
      if (this.#pending.length > 0) this.#startWriting();
    });
  }

  async #write(): Promise<void> {
    const lines = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    try {
      await this.#files.prune();
      if (lines.length > 0) await this.#files.append(lines.join(""));
      this.#written += lines.length;
    } catch (error) {
      this.#dropped += lines.length;
      this.#complain(error);
    }
  }

  #complain(error: unknown): void {
    const nowMs = performance.now();
    if (nowMs - this.#complainedMs < complaintMs) return;
    this.#complainedMs = nowMs;
    const { code } = error as NodeJS.ErrnoException;
    this.#logger?.warn(
      { cause: code, dropped: this.#dropped },
      "the request log cannot be written; serving goes on",
    );
  }
}
