/** A model in memory, as the budget sees it. */
export interface BudgetedModel {
  readonly name: string;
  /** Bytes that it takes once it is loaded, planned. */
  readonly bytes: number;
  readonly isLoaded: boolean;
  /** Nobody uses it, and it may be unloaded. */
  readonly isIdle: boolean;
  /** When it was last used, in milliseconds of any clock. */
  readonly lastUsedMs: number;
}

/**
 * Which models have to go so that another one fits: the idle ones that were used longest ago, and no more of them than
 * needed.
 *
 * @returns undefined when it does not fit whatever goes
 */
export function modelsToUnload(
  wanted: BudgetedModel,
  others: readonly BudgetedModel[],
  budgetBytes: number,
): readonly string[] | undefined {
  const loaded = others.filter(({ isLoaded, name }) => isLoaded && name !== wanted.name);
  let total = loaded.reduce((sum, { bytes }) => sum + bytes, wanted.bytes);
  const gone: string[] = [];
  const idle = loaded.filter(({ isIdle }) => isIdle).sort((a, b) => a.lastUsedMs - b.lastUsedMs);
  for (const { name, bytes } of idle) {
    if (total <= budgetBytes) break;
    total -= bytes;
    gone.push(name);
  }
  if (total > budgetBytes) return undefined;
  // The oldest may have been smaller than what a later one freed alone.
  return gone.filter((name) => {
    const bytes = idle.find((model) => model.name === name)?.bytes ?? 0;
    if (total + bytes > budgetBytes) return true;
    total += bytes;
    return false;
  });
}
