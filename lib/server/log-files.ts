import { appendFile, mkdir, readdir, readFile, stat, unlink } from "node:fs/promises";
import path from "node:path";

/** How much is kept of a log, and for how long. */
export interface LogFileLimits {
  /** Bytes of all files; the oldest goes first. Default 64 MiB. */
  readonly maxBytes: number;
  /** Milliseconds that a line is kept at most. Default: a day. */
  readonly retentionMs: number;
}

/** What of a file system is needed. */
export interface LogDisk {
  append(file: string, text: string): Promise<void>;
  remove(file: string): Promise<void>;
}

const realDisk: LogDisk = {
  append: (file, text) => appendFile(file, text, { mode: 0o600 }),
  remove: (file) => unlink(file),
};

const namePattern = /^requests-(\d{1,15})\.jsonl$/;

/** One file of a log. */
interface LogFile {
  readonly path: string;
  /** When its first line was written, in milliseconds since 1970: no line of it is older. */
  readonly startMs: number;
  bytes: number;
}

/** The files of a log in a directory, the oldest first. */
async function listFiles(directory: string): Promise<LogFile[]> {
  const files: LogFile[] = [];
  for (const name of await readdir(directory)) {
    const [, start] = namePattern.exec(name) ?? [];
    if (start === undefined) continue;
    const file = path.join(directory, name);
    files.push({ path: file, startMs: Number(start), bytes: (await stat(file)).size });
  }
  return files.sort((a, b) => a.startMs - b.startMs);
}

/** Lines in files that are begun anew before they are large or old, so that the oldest can go as a whole. */
export class LogFiles {
  readonly #directory: string;
  readonly #limits: LogFileLimits;
  readonly #disk: LogDisk;
  readonly #now: () => number;
  #files: LogFile[] | undefined;
  #hasFailed = false;

  constructor(
    directory: string,
    limits: Partial<LogFileLimits> = {},
    { disk = realDisk, now = Date.now }: { readonly disk?: LogDisk; readonly now?: () => number } = {},
  ) {
    this.#directory = directory;
    this.#limits = {
      maxBytes: limits.maxBytes ?? 64 * 2 ** 20,
      retentionMs: limits.retentionMs ?? 86_400_000,
    };
    this.#disk = disk;
    this.#now = now;
  }

  /** Bytes of all files, as far as they are known. */
  get bytes(): number {
    return (this.#files ?? []).reduce((sum, file) => sum + file.bytes, 0);
  }

  /** Appends whole lines; after a failure the next ones go to another file, as a part of them may have been written. */
  async append(lines: string): Promise<void> {
    const files = await this.#open();
    const size = Buffer.byteLength(lines);
    await this.#removeWhile(files, () => this.bytes + size > this.#limits.maxBytes);
    const file = this.#fileFor(files, size);
    try {
      await this.#disk.append(file.path, lines);
      file.bytes += size;
      if (!files.includes(file)) files.push(file);
      this.#hasFailed = false;
    } catch (error) {
      this.#hasFailed = true;
      this.#files = undefined; // look again what is there
      throw error;
    }
  }

  /** Removes what is too old, or from the future, which is what is left when a clock was set back. */
  async prune(): Promise<void> {
    const files = await this.#open();
    const { retentionMs } = this.#limits;
    await this.#removeWhile(files, ([oldest]) => {
      const age = this.#now() - (oldest?.startMs ?? 0);
      return age > retentionMs || age < -retentionMs;
    });
  }

  async #open(): Promise<LogFile[]> {
    if (this.#files !== undefined) return this.#files;
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    this.#files = await listFiles(this.#directory);
    return this.#files;
  }

  /** A file's part of what is kept: the log shrinks by so much at a time. */
  #fileFor(files: readonly LogFile[], size: number): LogFile {
    const { maxBytes, retentionMs } = this.#limits;
    const newest = files.at(-1);
    const now = this.#now();
    const age = now - (newest?.startMs ?? 0);
    const fits = newest !== undefined && newest.bytes + size <= maxBytes / 8;
    if (fits && !this.#hasFailed && age >= 0 && age < retentionMs / 24) return newest;
    // Names are unique and ascend, whatever the clock does.
    const startMs = Math.max(now, (newest?.startMs ?? 0) + 1);
    return { path: path.join(this.#directory, `requests-${startMs}.jsonl`), startMs, bytes: 0 };
  }

  async #removeWhile(files: LogFile[], isTooMuch: (files: readonly LogFile[]) => boolean): Promise<void> {
    while (files.length > 0 && isTooMuch(files)) {
      const [oldest] = files;
      if (oldest !== undefined) await this.#disk.remove(oldest.path).catch(ignoreMissing);
      files.shift();
    }
  }
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}

/** The whole lines of a log, oldest first; what a full disk cut off is left out. */
export async function* readLog(directory: string): AsyncGenerator<string, void> {
  for (const { path: file } of await listFiles(directory)) {
    for (const line of (await readFile(file, "utf8")).split("\n")) {
      if (line !== "" && isJson(line)) yield line;
    }
  }
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}
