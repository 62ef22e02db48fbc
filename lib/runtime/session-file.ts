import { createHash, type Hash, randomUUID } from "node:crypto";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";

import { z } from "zod";

import { AirError, ioError } from "../errors/air-error.js";
import { messageSchema } from "./options.js";

/*
 * magic       8 bytes  "AIRSESSN"
 * version     uint32, little-endian like the other numbers
 * header      uint32   length in bytes
 * pages       uint64   length in bytes
 * header      JSON in UTF-8
 * pages       by head group, in cache order
 * checksum    32 bytes SHA-256 of everything before
 */
const magic = Buffer.from("AIRSESSN");
const version = 1;
const prologueBytes = 24;
const checksumBytes = 32;
const chunkBytes = 1 << 20;
const maxHeaderBytes = 1 << 28;

const count = z.int().min(0);

const headerSchema = z.strictObject({
  identity: z.strictObject({
    model: z.string(),
    keys: z.enum(["int8", "f16", "int4"]),
    values: z.enum(["int8", "f16", "int4"]),
    rotateKeys: z.boolean(),
    policy: z.string(),
    heads: z.string(),
  }),
  pageTokens: count,
  /** By head group. */
  bytesPerPage: z.array(count),
  /** Those that have keys and values. */
  tokens: z.array(count),
  table: z.strictObject({ length: count, droppedAt: count, pagePositions: z.array(z.array(count)) }),
  /** By head group, the attention that the last step paid to each page; empty unless the policy looks at it. */
  pageMass: z.array(z.array(z.number())),
  messages: z.array(messageSchema),
});

/** What a session file says before the bytes of its pages. */
export type SessionHeader = z.output<typeof headerSchema>;

/** The error of a session file that cannot be used. */
export function sessionFileError(
  path: string,
  expected: string,
  received: string,
  cause?: unknown,
): AirError {
  return new AirError("AIR_ERR_SESSION_FILE", `expected ${expected} for ${path} but received ${received}`, {
    cause,
  });
}

/** Calls a function that uses a file; what the system refuses becomes AIR_ERR_IO. */
async function withFile<T>(path: string, purpose: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    if (!(cause instanceof Error) || (cause as NodeJS.ErrnoException).syscall === undefined) throw cause;
    throw ioError(path, `a ${purpose} file`, cause);
  }
}

/** Bytes of all pages that a header tells of. */
export function pageBytesOf({ table, bytesPerPage }: SessionHeader): number {
  return table.pagePositions.reduce(
    (sum, positions, headGroup) => sum + positions.length * (bytesPerPage[headGroup] ?? 0),
    0,
  );
}

/**
 * Writes a session file in place of what is at `path`: first beside it, so that there is the old file or the new one at
 * any time.
 *
 * @param pages - pageBytesOf(header) bytes, in chunks
 * @throws {AirError} AIR_ERR_IO
 */
export async function writeSessionFile(
  path: string,
  header: SessionHeader,
  pages: AsyncIterable<Uint8Array>,
): Promise<void> {
  const text = Buffer.from(JSON.stringify(header));
  const prologue = Buffer.alloc(prologueBytes);
  magic.copy(prologue);
  prologue.writeUInt32LE(version, 8);
  prologue.writeUInt32LE(text.length, 12);
  prologue.writeBigUInt64LE(BigInt(pageBytesOf(header)), 16);
  const temporary = `${path}.${randomUUID()}.tmp`;
  await withFile(path, "writable", async () => {
    const handle = await open(temporary, "wx", 0o600); // conversations are private
    try {
      const hash = createHash("sha256");
      const write = async (bytes: Uint8Array): Promise<void> => {
        hash.update(bytes);
        await handle.appendFile(bytes);
      };
      try {
        await write(prologue);
        await write(text);
        for await (const chunk of pages) await write(chunk);
        await handle.appendFile(hash.digest());
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  });
  await syncDirectory(dirname(path));
}

/** Makes a rename last through a power cut, where the system can. */
async function syncDirectory(directory: string): Promise<void> {
  try {
    const handle = await open(directory, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // The file is complete, whether or not its name is on the disk yet.
  }
}

/** A session file that was found whole. */
export class SessionFile {
  readonly path: string;
  readonly header: SessionHeader;
  readonly #handle: FileHandle;
  readonly #pagesStart: number;
  readonly #hash: Hash;
  readonly #checksum: Buffer;
  #offset: number;

  private constructor(path: string, handle: FileHandle, opened: OpenedFile) {
    this.path = path;
    this.header = opened.header;
    this.#handle = handle;
    this.#pagesStart = opened.pagesStart;
    this.#hash = opened.headerHash;
    this.#checksum = opened.checksum;
    this.#offset = opened.pagesStart;
  }

  /**
   * Opens a file and checks all of its bytes.
   *
   * @throws {AirError} AIR_ERR_IO, AIR_ERR_SESSION_FILE
   */
  static async open(path: string): Promise<SessionFile> {
    return withFile(path, "readable", async () => {
      // Looks before it opens, because opening a pipe waits for a writer.
      const found = await stat(path);
      if (!found.isFile()) {
        const kind = found.isDirectory() ? "a directory" : "a special file";
        throw new AirError("AIR_ERR_IO", `expected a regular file for ${path} but received ${kind}`);
      }
      const handle = await open(path, "r");
      try {
        return new SessionFile(path, handle, await checkFile(handle, path));
      } catch (error) {
        await handle.close();
        throw error;
      }
    });
  }

  /** The next `length` bytes of the pages. */
  async read(length: number): Promise<Uint8Array> {
    const bytes = await withFile(this.path, "readable", () =>
      readAt(this.#handle, this.path, this.#offset, length),
    );
    this.#offset += length;
    this.#hash.update(bytes);
    return bytes;
  }

  /** @throws {AirError} AIR_ERR_SESSION_FILE when the pages that were read are not those that were checked */
  assertUnchanged(): void {
    const isWhole = this.#offset - this.#pagesStart === pageBytesOf(this.header);
    if (isWhole && this.#hash.digest().equals(this.#checksum)) return;
    throw sessionFileError(this.path, "a file that stays as it is", "one that changed while it was read");
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

interface OpenedFile {
  readonly header: SessionHeader;
  readonly pagesStart: number;
  /** Of the bytes before the pages. */
  readonly headerHash: Hash;
  readonly checksum: Buffer;
}

async function checkFile(handle: FileHandle, path: string): Promise<OpenedFile> {
  const { size } = await handle.stat();
  if (size < prologueBytes + checksumBytes) {
    throw sessionFileError(path, "a session file", `${size} bytes`);
  }
  const prologue = await readAt(handle, path, 0, prologueBytes);
  if (!prologue.subarray(0, magic.length).equals(magic)) {
    throw sessionFileError(path, "a session file", "a file of another kind");
  }
  const fileVersion = prologue.readUInt32LE(8);
  if (fileVersion !== version) {
    throw sessionFileError(path, `a session file of version ${version}`, `version ${fileVersion}`);
  }
  const headerBytes = prologue.readUInt32LE(12);
  const pageBytes = prologue.readBigUInt64LE(16);
  const expected = BigInt(prologueBytes + headerBytes + checksumBytes) + pageBytes;
  if (headerBytes > maxHeaderBytes || expected !== BigInt(size)) {
    throw sessionFileError(path, `${expected} bytes, as its first ones say,`, `${size}`);
  }
  const hash = createHash("sha256").update(prologue);
  const text = await readAt(handle, path, prologueBytes, headerBytes);
  hash.update(text);
  const headerHash = hash.copy();
  const pagesStart = prologueBytes + headerBytes;
  const pagesEnd = size - checksumBytes;
  for (let offset = pagesStart; offset < pagesEnd; offset += chunkBytes) {
    hash.update(await readAt(handle, path, offset, Math.min(chunkBytes, pagesEnd - offset)));
  }
  const checksum = await readAt(handle, path, pagesEnd, checksumBytes);
  if (!hash.digest().equals(checksum)) {
    throw sessionFileError(path, "the checksum in the file", "another one: it is damaged");
  }
  const header = parseHeader(text, path);
  if (BigInt(pageBytesOf(header)) !== pageBytes) {
    throw sessionFileError(path, `${pageBytesOf(header)} bytes of pages`, `${pageBytes}`);
  }
  return { header, pagesStart, headerHash, checksum };
}

function parseHeader(text: Buffer, path: string): SessionHeader {
  let value: unknown;
  try {
    value = JSON.parse(text.toString());
  } catch (cause) {
    throw sessionFileError(path, "a header of JSON", "something else", cause);
  }
  const parsed = headerSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = issue?.path.join(".") ?? "";
  throw sessionFileError(path, "a session's header", `${where}: ${issue?.message ?? "another one"}`);
}

async function readAt(handle: FileHandle, path: string, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(buffer, done, length - done, offset + done);
    if (bytesRead === 0) throw sessionFileError(path, `${offset + length} bytes`, `${offset + done}`);
    done += bytesRead;
  }
  return buffer;
}
