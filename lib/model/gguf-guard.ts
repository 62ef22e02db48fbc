import { readSync } from "node:fs";

import { formatError, unsupported } from "./model-errors.js";

// Byte widths of GGUF value types 0..12; strings (8) and arrays (9) have no fixed width.
const fixedWidths: readonly (number | undefined)[] = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8];
const stringType = 8;
const arrayType = 9;

const stringLengthBytes = 8;
const smallestPairBytes = stringLengthBytes + 4 + 1; // empty key, type, one byte
const smallestTensorBytes = stringLengthBytes + 4 + 8 + 4 + 8; // empty name, rank, one dimension, type, offset
const maxKeyBytes = 65_535;
const maxTensorNameBytes = 1_024;
const maxDimensions = 4;

// What @huggingface/gguf accepts; beyond it the header is refused here with a proper error.
const maxHeaderBytes = 48_000_000;
const maxArrayLength = 1_000_000;
const maxStringBytes = 10_000_000;
const libraryChunkBytes = 2_000_000;

const windowBytes = 1 << 20;

/** A string that @huggingface/gguf would misread, with its right value. */
export interface StringRepair {
  readonly key: string;
  /** Position in the array at `key`; undefined for a plain string. */
  readonly index: number | undefined;
  readonly value: string;
}

/**
 * Walks a GGUF header and checks every count and length against the bytes left in the file, so that the library
 * behind readGguf only sees headers that fit: it reads past the end as zeros, and it would try to fetch what an
 * absurd count promises. Reads in windows of 1 MiB; allocates nothing that a count asks for.
 *
 * Two defects of that library are mended on the way: it drops a leading U+FEFF from strings, and it cuts the
 * last string of an array when that straddles one of its 2,000,000-byte chunks. Both kinds are returned decoded.
 *
 * @param fd an open file
 * @throws {AirError} AIR_ERR_MODEL_FORMAT for damage, AIR_ERR_UNSUPPORTED for a big-endian file or another version.
 */
export function guardGgufHeader(fd: number, fileBytes: number): readonly StringRepair[] {
  const reader = new HeaderReader(fd, fileBytes);
  checkPreamble(reader);
  const tensorCount = reader.count("tensor count", smallestTensorBytes);
  const pairCount = reader.count("metadata count", smallestPairBytes);
  const repairs: StringRepair[] = [];
  const keys = new Set<string>();
  for (let i = 0; i < pairCount; i++) {
    const key = reader.shortString(`metadata key ${String(i)}`, maxKeyBytes);
    if (keys.has(key)) throw formatError("metadata", "each key once", key);
    keys.add(key);
    skipValue(reader, key, repairs);
  }
  for (let i = 0; i < tensorCount; i++) {
    const name = reader.shortString(`the name of tensor ${String(i)}`, maxTensorNameBytes);
    const rank = reader.u32(`rank of tensor ${name}`);
    if (rank < 1 || rank > maxDimensions) {
      throw formatError(`rank of tensor ${name}`, `1 to ${String(maxDimensions)}`, rank);
    }
    reader.skip(rank * 8 + 4 + 8, `tensor ${name}`);
  }
  return repairs;
}

function checkPreamble(reader: HeaderReader): void {
  const magic = reader.u32("magic");
  // "GGUF" read as a little-endian u32.
  if (magic !== 0x46554747) throw formatError("the first four bytes", '"GGUF"', `0x${magic.toString(16)}`);
  const version = reader.u32("version");
  if (version !== 0 && (version & 0xffff) === 0) {
    throw unsupported("byte order", "a little-endian GGUF file", "a big-endian one");
  }
  if (version !== 2 && version !== 3) throw unsupported("GGUF version", "2 or 3", version);
}

function skipValue(reader: HeaderReader, key: string, repairs: StringRepair[]): void {
  const what = `metadata ${key}`;
  const type = reader.u32(what);
  const fixedBytes = fixedWidths[type];
  if (fixedBytes !== undefined) {
    reader.skip(fixedBytes, what);
  } else if (type === stringType) {
    skipString(reader, what, key, undefined, repairs);
  } else if (type === arrayType) {
    skipArray(reader, what, key, repairs);
  } else {
    throw formatError(`type of ${what}`, "a GGUF value type (0 to 12)", type);
  }
}

function skipArray(reader: HeaderReader, what: string, key: string, repairs: StringRepair[]): void {
  const type = reader.u32(what);
  const fixedBytes = fixedWidths[type];
  if (fixedBytes === undefined && type !== stringType) {
    throw formatError(`element type of ${what}`, "a scalar or string type", type);
  }
  const length = reader.count(`length of ${what}`, fixedBytes ?? stringLengthBytes);
  if (length > maxArrayLength) {
    throw formatError(`length of ${what}`, `at most ${String(maxArrayLength)}`, length);
  }
  if (fixedBytes !== undefined) {
    reader.skip(length * fixedBytes, what);
    return;
  }
  for (let i = 0; i < length; i++) skipString(reader, what, key, i, repairs);
}

function skipString(
  reader: HeaderReader,
  what: string,
  key: string,
  index: number | undefined,
  repairs: StringRepair[],
): void {
  const length = reader.count(`string length in ${what}`, 1);
  if (length > maxStringBytes) {
    throw formatError(`string length in ${what}`, `at most ${String(maxStringBytes)}`, length);
  }
  const start = reader.position;
  const straddles =
    Math.floor(start / libraryChunkBytes) !== Math.floor((start + length) / libraryChunkBytes);
  if (straddles || reader.startsWithByteOrderMark(length)) {
    repairs.push({ key, index, value: reader.peekString(length) });
  }
  reader.skip(length, what);
}

/** A forward-only reader over a file that never goes past its end. */
class HeaderReader {
  position = 0;
  readonly #fd: number;
  readonly #fileBytes: number;
  readonly #window = Buffer.alloc(windowBytes);
  #windowStart = 0;
  #windowBytes = 0;

  constructor(fd: number, fileBytes: number) {
    this.#fd = fd;
    this.#fileBytes = fileBytes;
  }

  u32(what: string): number {
    const at = this.#need(4, what);
    this.position += 4;
    return this.#window.readUInt32LE(at);
  }

  /** A u64 count of things of at least `smallestBytes` each, which must fit in the rest of the file. */
  count(what: string, smallestBytes: number): number {
    const at = this.#need(8, what);
    this.position += 8;
    const low = this.#window.readUInt32LE(at);
    const high = this.#window.readUInt32LE(at + 4);
    const count = high * 2 ** 32 + low;
    const most = Math.floor((this.#fileBytes - this.position) / smallestBytes);
    if (count > most)
      throw formatError(what, `at most ${String(most)}, what the rest of the file can hold`, count);
    return count;
  }

  shortString(what: string, maxBytes: number): string {
    const length = this.count(`length of ${what}`, 1);
    if (length > maxBytes)
      throw formatError(`length of ${what}`, `at most ${String(maxBytes)} bytes`, length);
    const value = this.peekString(length);
    this.skip(length, what);
    return value;
  }

  skip(bytes: number, what: string): void {
    this.#require(bytes, what);
    this.position += bytes;
    if (this.position > maxHeaderBytes) {
      throw formatError("the header", `at most ${String(maxHeaderBytes)} bytes`, this.position);
    }
  }

  /** The next `bytes`, already known to lie in the file, as UTF-8; does not move on. */
  peekString(bytes: number): string {
    if (bytes <= windowBytes) {
      const at = this.#need(bytes, "a string");
      return this.#window.toString("utf8", at, at + bytes);
    }
    const text = Buffer.alloc(bytes);
    return text.toString("utf8", 0, readSync(this.#fd, text, 0, bytes, this.position));
  }

  startsWithByteOrderMark(length: number): boolean {
    if (length < 3) return false;
    const at = this.#need(3, "a string");
    return this.#window[at] === 0xef && this.#window[at + 1] === 0xbb && this.#window[at + 2] === 0xbf;
  }

  /** Makes `bytes` from the position on available and returns where they start in the window. */
  #need(bytes: number, what: string): number {
    this.#require(bytes, what);
    if (this.position < this.#windowStart || this.position + bytes > this.#windowStart + this.#windowBytes) {
      this.#windowStart = this.position;
      this.#windowBytes = readSync(this.#fd, this.#window, 0, windowBytes, this.position);
      if (this.#windowBytes < bytes) throw formatError(what, `${String(bytes)} bytes`, this.#windowBytes);
    }
    return this.position - this.#windowStart;
  }

  #require(bytes: number, what: string): void {
    const left = this.#fileBytes - this.position;
    if (bytes > left)
      throw formatError(what, `${String(bytes)} more bytes`, `${String(left)} to the end of the file`);
  }
}
