import { type FileHandle, open, readFile, rename, rm } from "node:fs/promises";

import { AirError, ioError } from "../errors/air-error.js";
import { writeWhole } from "../util/text-file.js";
import { checkContent } from "./checksum.js";
import type { GuardedResponse, HubConnection } from "./connection.js";
import { describeUrl, HubError } from "./hub-error.js";
import type { HubFile } from "./model-files.js";

/** A file to download. */
export interface DownloadTask {
  readonly file: HubFile;
  readonly url: URL;
  /** Where it goes once it is whole and verified; `.partial` beside it until then. */
  readonly target: string;
  readonly onProgress: (phase: "downloading" | "verifying", doneBytes: number) => void;
}

/** What came of a download. */
export interface Downloaded {
  readonly sha256: string;
  /** Bytes that an earlier, interrupted download had left. */
  readonly resumedBytes: number;
  /** Bytes that came over the network now. */
  readonly receivedBytes: number;
}

/** Where an unfinished download lies. */
export function partialPath(target: string): string {
  return `${target}.partial`;
}

/** A name of the content that the server keeps for If-Range, which takes strong ones only (RFC 9110, section 13.1.5). */
function strongTag(headers: Headers): string | undefined {
  const tag = headers.get("etag")?.trim();
  return tag !== undefined && /^"[\x21\x23-\x7e]*"$/.test(tag) ? tag : undefined;
}

/** The part of a file that is here, and what the server called the content that it comes from. */
class PartialFile {
  readonly #handle: FileHandle;
  readonly #tagPath: string;
  #bytes: number;
  #tag: string | undefined;

  private constructor(handle: FileHandle, tagPath: string, bytes: number, tag: string | undefined) {
    this.#handle = handle;
    this.#tagPath = tagPath;
    this.#bytes = bytes;
    this.#tag = tag;
  }

  static async open(path: string): Promise<PartialFile> {
    const tagPath = `${path}.etag`;
    try {
      const handle = await open(path, "a+").then(async (made) => {
        await made.close();
        return open(path, "r+"); // "a+" would append wherever it is told to write
      });
      const { size } = await handle.stat();
      const tag = size === 0 ? undefined : await readFile(tagPath, "utf8").catch(() => undefined);
      return new PartialFile(handle, tagPath, size, tag);
    } catch (cause) {
      throw ioError(path, "a writable file", cause);
    }
  }

  get handle(): FileHandle {
    return this.#handle;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get tag(): string | undefined {
    return this.#tag;
  }

  /** Begins anew, with content of this name. The old content goes first: never may it lie under the new name. */
  async restart(tag?: string): Promise<void> {
    await this.#handle.truncate(0);
    this.#bytes = 0;
    this.#tag = tag;
    if (tag === undefined) await rm(this.#tagPath, { force: true });
    else await writeWhole(this.#tagPath, tag);
  }

  async append(chunk: Uint8Array): Promise<void> {
    let written = 0;
    while (written < chunk.length) {
      const { bytesWritten } = await this.#handle.write(chunk, written, chunk.length - written, this.#bytes);
      written += bytesWritten;
      this.#bytes += bytesWritten;
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async removeTag(): Promise<void> {
    await rm(this.#tagPath, { force: true });
  }
}

/** The download of one file, attempt by attempt. */
class FileDownload {
  readonly #connection: HubConnection;
  readonly #task: DownloadTask;
  readonly #partial: PartialFile;
  /** Whether bytes of several connections make up what is here. */
  #isPatched: boolean;
  #reachedBytes: number;
  #receivedBytes = 0;

  constructor(connection: HubConnection, task: DownloadTask, partial: PartialFile) {
    this.#connection = connection;
    this.#task = task;
    this.#partial = partial;
    this.#isPatched = partial.bytes > 0;
    this.#reachedBytes = partial.bytes;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Gets all bytes and verifies them. A patched file that turns out wrong is downloaded once more in one go. */
  async run(): Promise<string> {
    for (let isLast = false; ; isLast = true) {
      await this.#connection.retrying(
        () => this.#attempt(),
        () => this.#reachedBytes,
      );
      const sha256 = await this.#verify();
      if (sha256 !== undefined) return sha256;
      await this.#partial.restart();
      if (isLast || !this.#isPatched) {
        const { file, url } = this.#task;
        const { kind, hex } = file.digest;
        throw new AirError(
          "AIR_ERR_CHECKSUM",
          `expected content with the ${kind} ${hex} for ${describeUrl(url)} but received other content, which was removed`,
        );
      }
      this.#isPatched = false;
      this.#reachedBytes = 0;
    }
  }

  /** The file's SHA-256, or undefined when its content is wrong. */
  async #verify(): Promise<string | undefined> {
    const { file, onProgress } = this.#task;
    await this.#partial.handle.sync();
    const { sha256, matches } = await checkContent(this.#partial.handle, file.bytes, file.digest, (done) => {
      this.#connection.throwIfAborted();
      onProgress("verifying", done);
    });
    return matches ? sha256 : undefined;
  }

  async #attempt(): Promise<void> {
    const { file, url, onProgress } = this.#task;
    const partial = this.#partial;
    if (partial.bytes > file.bytes) await partial.restart();
    onProgress("downloading", partial.bytes);
    if (partial.bytes === file.bytes && file.bytes > 0) return;
    const offset = partial.bytes;
    const headers = {
      ...(offset > 0 && { range: `bytes=${offset}-` }),
      ...(offset > 0 && partial.tag !== undefined && { "if-range": partial.tag }),
    };
    const guarded = await this.#connection.get(url, headers, [416]);
    try {
      await this.#accept(guarded, offset);
      await this.#receive(guarded);
    } finally {
      guarded.guard.release();
    }
  }

  /** Decides whether the response goes on where the file ends, begins anew, or is of no use. */
  async #accept({ response, url }: GuardedResponse, offset: number): Promise<void> {
    const { status, headers } = response;
    const { file } = this.#task;
    const tag = strongTag(headers);
    const place = describeUrl(url);
    if (status === 200) {
      this.#assertLength(headers.get("content-length"), file.bytes, place);
      if (offset > 0) this.#isPatched = false;
      await this.#partial.restart(tag);
      return;
    }
    const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get("content-range") ?? "") ?? [];
    if (status === 206 && total !== undefined && total !== "*") this.#assertLength(total, file.bytes, place);
    const isSame = tag === undefined || this.#partial.tag === undefined || tag === this.#partial.tag;
    if (status === 206 && offset > 0 && Number(first) === offset && isSame) {
      this.#isPatched = true;
      return;
    }
    await this.#partial.restart();
    const problem = isSame ? `status ${status} without them` : "bytes of another version of the file";
    throw new HubError(`expected the bytes from ${offset} on for ${place} but received ${problem}`, {
      isTransient: true,
    });
  }

  #assertLength(announced: string | null, bytes: number, place: string): void {
    if (announced !== null && Number(announced) !== bytes)
      throw new HubError(`expected ${bytes} bytes, as listed, for ${place} but received ${announced}`);
  }

  async #receive({ response, url, guard }: GuardedResponse): Promise<void> {
    const { file, onProgress } = this.#task;
    const partial = this.#partial;
    const place = describeUrl(url);
    const body = response.body ?? [];
    const chunks = (body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
    for (;;) {
      const next = await chunks.next().catch((thrown: unknown) => {
        throw guard.errorOf(thrown, url);
      });
      if (next.done === true) break;
      const chunk = next.value;
      if (partial.bytes + chunk.length > file.bytes) {
        await partial.restart();
        throw new HubError(`expected ${file.bytes} bytes, as listed, for ${place} but received more`);
      }
      await partial.append(chunk);
      this.#receivedBytes += chunk.length;
      this.#reachedBytes = Math.max(this.#reachedBytes, partial.bytes);
      onProgress("downloading", partial.bytes);
      guard.touch();
    }
    if (partial.bytes < file.bytes)
      throw new HubError(
        `expected ${file.bytes} bytes for ${place} but received ${partial.bytes} before the end`,
        { isTransient: true },
      );
  }
}

/**
 * Downloads a file, going on where an earlier download stopped, and puts it in place once its content is verified.
 * Whatever stops it, the bytes that came stay in the `.partial` file.
 *
 * @throws {AirError} AIR_ERR_HUB, AIR_ERR_HUB_ACCESS, AIR_ERR_HUB_NOT_FOUND, AIR_ERR_CHECKSUM, AIR_ERR_IO,
 * AIR_ERR_CANCELLED
 */
export async function downloadFile(connection: HubConnection, task: DownloadTask): Promise<Downloaded> {
  const path = partialPath(task.target);
  const partial = await PartialFile.open(path);
  try {
    const resumedBytes = Math.min(partial.bytes, task.file.bytes);
    const download = new FileDownload(connection, task, partial);
    const sha256 = await download.run();
    await rename(path, task.target);
    await partial.removeTag();
    return { sha256, resumedBytes, receivedBytes: download.receivedBytes };
  } catch (cause) {
    throw cause instanceof AirError ? cause : ioError(task.target, "a writable file", cause);
  } finally {
    await partial.close();
  }
}
