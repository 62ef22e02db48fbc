import { at } from "../util/array-access.js";
import type { PageTableState } from "./page-table.js";

/** Whether a page table can have this state: for states that come from outside. */
export function isPossibleState(
  { length, droppedAt, pagePositions }: PageTableState,
  headGroups: number,
  pageTokens: number,
): boolean {
  if (pagePositions.length !== headGroups || droppedAt > length) return false;
  const pages = Math.ceil(length / pageTokens);
  const isDropped = pagePositions.some((positions) => positions.length < pages);
  if (isDropped !== droppedAt > 0) return false;
  return pagePositions.every((positions) => {
    const isAscending = positions.every(
      (position, order) =>
        position % pageTokens === 0 &&
        position < length &&
        (order === 0 || position > at(positions, order - 1)),
    );
    if (!isAscending) return false;
    // Only pages that were full at the last drop can be missing.
    const held = new Set(positions);
    for (let page = Math.floor(droppedAt / pageTokens); page < pages; page += 1) {
      if (!held.has(page * pageTokens)) return false;
    }
    return true;
  });
}
