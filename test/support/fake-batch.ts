import type { Batch, ForwardOutput } from "../../lib/native/native.js";
import { expectLength, fail, type FakeArena } from "./fake-arena.js";

const windowFields = ["sinkTokens", "windowTokens", "evictedTokens"] as const;

/** A batch whose arrays are its own. */
export function copyBatch(batch: Batch): Batch {
  return {
    tokens: batch.tokens.slice(),
    positions: batch.positions.slice(),
    slots: batch.slots.slice(),
    sequenceStarts: batch.sequenceStarts.slice(),
    pageTables: batch.pageTables.slice(),
    contextLengths: batch.contextLengths.slice(),
    logitRows: batch.logitRows.slice(),
    ...(batch.sinkTokens && { sinkTokens: batch.sinkTokens.slice() }),
    ...(batch.windowTokens && { windowTokens: batch.windowTokens.slice() }),
    ...(batch.evictedTokens && { evictedTokens: batch.evictedTokens.slice() }),
  };
}

/** The step that feeds each of `sequences` of a first batch its drafted token at `place`. */
export function nextBatch(
  first: Batch,
  arena: FakeArena,
  sequences: readonly number[],
  drafted: Int32Array,
  width: number,
  place: number,
): Batch {
  const groups = arena.headGroups.length;
  const count = first.sequenceStarts.length - 1;
  const maxPages = first.pageTables.length / (groups * count);
  const cells = Array.from({ length: groups }, (_, group) => sequences.map((s) => group * count + s)).flat();
  const contextLengths = cells.map((cell) => (first.contextLengths[cell] ?? 0) + place + 1);
  const pageTables = cells.map((cell) => first.pageTables.subarray(cell * maxPages, (cell + 1) * maxPages));
  const windows = Object.fromEntries(
    windowFields.flatMap((name) => {
      const field = first[name];
      return field === undefined ? [] : [[name, Int32Array.from(cells, (cell) => field[cell] ?? 0)]];
    }),
  );
  return {
    tokens: Int32Array.from(sequences, (s) => drafted[s * width + place] ?? 0),
    positions: Int32Array.from(
      sequences,
      (s) => (first.positions[(first.sequenceStarts[s + 1] ?? 0) - 1] ?? 0) + place + 1,
    ),
    slots: Int32Array.from(cells, (_, index) => {
      const last = (contextLengths[index] ?? 0) - 1;
      const page = pageTables[index]?.[Math.floor(last / arena.pageTokens)] ?? 0;
      return page * arena.pageTokens + (last % arena.pageTokens);
    }),
    sequenceStarts: Int32Array.from({ length: sequences.length + 1 }, (_, index) => index),
    pageTables: Int32Array.from(pageTables.flatMap((table) => Array.from(table))),
    contextLengths: Int32Array.from(contextLengths),
    logitRows: Int32Array.from(sequences.keys()),
    ...windows,
  };
}

/**
 * Shape and range checks, as the real binding makes them.
 *
 * @param spare - by sequence: tokens past the context length that the page tables have pages for
 */
export function checkBatch(
  batch: Batch,
  output: ForwardOutput,
  arena: FakeArena,
  limits: {
    readonly vocabSize: number;
    readonly embeddingLength: number;
    readonly maxTokens: number;
  },
  spare: readonly number[],
): void {
  const groups = arena.headGroups.length;
  const tokens = batch.tokens.length;
  const sequences = batch.sequenceStarts.length - 1;
  const cells = groups * sequences;
  const { vocabSize, maxTokens } = limits;
  if (tokens < 1 || tokens > maxTokens) fail("AIR_ERR_SHAPE", `expected fewer tokens than ${tokens}`);
  expectLength("positions", batch.positions, tokens);
  expectLength("slots", batch.slots, groups * tokens);
  expectLength("contextLengths", batch.contextLengths, cells);
  for (const name of windowFields) {
    const field = batch[name];
    if (field === undefined) continue;
    expectLength(name, field, cells);
    if (field.some((value) => value < 0)) fail("AIR_ERR_PAGE_RANGE", `expected counts for ${name}`);
  }
  const { logitCount = batch.logitRows.length, hidden } = output;
  if (logitCount < 0 || logitCount > batch.logitRows.length) {
    fail("AIR_ERR_ARGUMENT", `expected a count of rows for logitCount but received ${logitCount}`);
  }
  expectLength("logits", output.logits, logitCount * vocabSize);
  if (hidden) expectLength("hidden", hidden, batch.logitRows.length * limits.embeddingLength);
  if (batch.pageTables.length % cells !== 0) fail("AIR_ERR_SHAPE", "expected [G, S, P] page tables");
  if (output.pageMass) expectLength("pageMass", output.pageMass, batch.pageTables.length);
  if (batch.sequenceStarts[0] !== 0 || batch.sequenceStarts[sequences] !== tokens) {
    fail("AIR_ERR_SHAPE", "expected sequence starts from 0 to the number of tokens");
  }
  batch.logitRows.forEach((row, index) => {
    if (row < 0 || row >= tokens || row <= (batch.logitRows[index - 1] ?? -1)) {
      fail("AIR_ERR_PAGE_RANGE", `expected an ascending row but received ${row}`);
    }
  });
  for (const token of batch.tokens) {
    if (token < 0 || token >= vocabSize)
      fail("AIR_ERR_ARGUMENT", `expected a token id but received ${token}`);
  }
  for (let group = 0; group < groups; group += 1) checkSlots(batch, arena, group);
  checkPadding(batch, arena, cells, spare);
}

function checkSlots(batch: Batch, arena: FakeArena, group: number): void {
  const tokens = batch.tokens.length;
  const slots = batch.slots.subarray(group * tokens, (group + 1) * tokens);
  const slotCount = (arena.headGroups[group]?.pageCount ?? 0) * arena.pageTokens;
  if (new Set(slots).size !== tokens) fail("AIR_ERR_PAGE_RANGE", "expected distinct slots");
  for (const slot of slots) {
    if (slot < arena.pageTokens || slot >= slotCount) {
      fail("AIR_ERR_PAGE_RANGE", `expected a slot of a real page but received ${slot}`);
    }
  }
}

/** Page tables end in null pages, and hold none before. */
function checkPadding(batch: Batch, arena: FakeArena, cells: number, spare: readonly number[]): void {
  const maxPages = batch.pageTables.length / cells;
  const sequences = batch.sequenceStarts.length - 1;
  batch.pageTables.forEach((page, index) => {
    const cell = Math.floor(index / maxPages);
    const length = (batch.contextLengths[cell] ?? 0) + (spare[cell % sequences] ?? 0);
    const isUsed = (index % maxPages) * arena.pageTokens < length;
    if (isUsed !== page > 0) fail("AIR_ERR_PAGE_RANGE", `expected padded page tables but received ${page}`);
  });
}
