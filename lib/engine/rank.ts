/** What decides who goes first. */
export interface Ranked {
  /** Higher goes before lower. */
  readonly priority: number;
  /** Order in which runs got their first pages; undefined for those that still wait for them. */
  readonly admission: number | undefined;
  /** Order in which runs began. */
  readonly arrival: number;
}

/** Compares for sort(): by priority, and the admitted in order of admission before those that still wait; these are equal. */
export function byAdmission(a: Ranked, b: Ranked): number {
  if (a.priority !== b.priority) return b.priority - a.priority;
  const [first, second] = [a.admission ?? Infinity, b.admission ?? Infinity];
  return first === second ? 0 : first - second;
}

/** Compares by rank for sort(): by priority, then admission (the admitted before those that wait), then arrival. */
export function byRank(a: Ranked, b: Ranked): number {
  const order = byAdmission(a, b);
  return order === 0 ? a.arrival - b.arrival : order;
}

/** Whether `a` may take pages from `b`. The order is total and does not change while both run, so nobody goes round in circles. */
export function outranks(a: Ranked, b: Ranked): boolean {
  return byRank(a, b) < 0;
}
