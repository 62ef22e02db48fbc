import { AirNativeError } from "../../lib/errors/air-error.js";
import type { CreateArenaOptions, NativeErrorCode, NativeKvArena } from "../../lib/native/native.js";

export function fail(code: NativeErrorCode, message: string): never {
  throw new AirNativeError(code, message);
}

export function expectLength(name: string, array: ArrayLike<number>, length: number): void {
  if (array.length !== length) {
    fail("AIR_ERR_SHAPE", `expected ${length} elements for ${name} but received ${array.length}`);
  }
}

/** One stored K/V entry; token -1 was never written. */
export interface Entry {
  readonly token: number;
  readonly position: number;
  /** Hash of all that the token saw, as keys and values depend on what comes before them. */
  readonly state: number;
}
export const unwritten: Entry = { token: -1, position: -1, state: 0 };

const intsPerEntry = 3;

/** Pages of entries. */
export class FakeArena implements NativeKvArena {
  readonly pageTokens: number;
  readonly headGroups: readonly { readonly pageCount: number; readonly bytesPerPage: number }[];
  readonly bytes: number;
  readonly #entries: Entry[][];
  closed = false;
  /** Whether a runner is in the middle of a forward. */
  inUse = false;

  constructor(options: CreateArenaOptions) {
    const bytesPerPage = options.pageTokens * intsPerEntry * Int32Array.BYTES_PER_ELEMENT;
    this.pageTokens = options.pageTokens;
    this.headGroups = options.pageCounts.map((pageCount) => ({ pageCount, bytesPerPage }));
    this.bytes = this.headGroups.reduce((sum, group) => sum + group.pageCount * group.bytesPerPage, 0);
    this.#entries = options.pageCounts.map((pages) =>
      Array.from({ length: pages * options.pageTokens }, () => unwritten),
    );
  }

  /** Entries of a head group by slot. */
  entries(headGroup: number): Entry[] {
    return (
      this.#entries[headGroup] ??
      fail("AIR_ERR_PAGE_RANGE", `expected a head group but received ${headGroup}`)
    );
  }

  copyPages(headGroup: number, src: Int32Array, dst: Int32Array): void {
    this.#check("copyPages", headGroup, [...src, ...dst]);
    expectLength("dst", dst, src.length);
    for (const [index, page] of dst.entries()) {
      for (const [offset, entry] of this.#page(headGroup, src[index] ?? 0).entries()) {
        this.entries(headGroup)[page * this.pageTokens + offset] = entry;
      }
    }
  }

  readPages(headGroup: number, pages: Int32Array, out: Uint8Array): void {
    const ints = this.#ints("readPages", headGroup, pages, out);
    for (const [index, page] of pages.entries()) {
      const values = this.#page(headGroup, page).flatMap(({ token, position, state }) => [
        token,
        position,
        state | 0,
      ]);
      for (const [offset, value] of values.entries()) {
        ints.setInt32((index * this.pageTokens * intsPerEntry + offset) * 4, value);
      }
    }
  }

  writePages(headGroup: number, pages: Int32Array, bytes: Uint8Array): void {
    const ints = this.#ints("writePages", headGroup, pages, bytes);
    for (const [index, page] of pages.entries()) {
      for (let offset = 0; offset < this.pageTokens; offset += 1) {
        const at = (index * this.pageTokens + offset) * intsPerEntry * 4;
        this.entries(headGroup)[page * this.pageTokens + offset] = {
          token: ints.getInt32(at),
          position: ints.getInt32(at + 4),
          state: ints.getUint32(at + 8),
        };
      }
    }
  }

  close(): void {
    this.closed = true;
  }

  #page(headGroup: number, page: number): readonly Entry[] {
    return this.entries(headGroup).slice(page * this.pageTokens, (page + 1) * this.pageTokens);
  }

  #ints(name: string, headGroup: number, pages: Int32Array, bytes: Uint8Array): DataView {
    this.#check(name, headGroup, [...pages]);
    expectLength("bytes", bytes, pages.length * (this.headGroups[headGroup]?.bytesPerPage ?? 0));
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #check(name: string, headGroup: number, pages: readonly number[]): void {
    if (this.closed) fail("AIR_ERR_CLOSED", "expected an open arena but it was closed");
    const pageCount =
      this.headGroups[headGroup]?.pageCount ??
      fail("AIR_ERR_PAGE_RANGE", `expected a head group for ${name}`);
    for (const page of pages) {
      if (page < 1 || page >= pageCount)
        fail("AIR_ERR_PAGE_RANGE", `expected a page for ${name}, not ${page}`);
    }
    if (this.inUse) fail("AIR_ERR_BUSY", `expected an idle arena for ${name} but a forward is using it`);
  }
}
