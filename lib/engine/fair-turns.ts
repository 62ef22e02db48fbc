/** A run as far as turns are concerned. */
export interface Claimant {
  readonly priority: number;
  /** On whose behalf it runs. */
  readonly user: string;
  readonly arrival: number;
}

/**
 * Whose prompt is next: among equal priorities the user's of whom the fewest prompt tokens were computed, so that one user
 * with many prompts does not hold up the others; and a user's prompts in order of arrival.
 */
export class FairTurns {
  /** Tokens computed for each user who has a run, from the level at which the user joined. */
  readonly #served = new Map<string, number>();

  /** Notes who has runs now. A user who joins starts level with the least served: neither ahead for having been away, nor behind. */
  keep(users: Iterable<string>): void {
    const present = new Set(users);
    for (const user of [...this.#served.keys()]) if (!present.has(user)) this.#served.delete(user);
    const level = this.#served.size === 0 ? 0 : Math.min(...this.#served.values());
    for (const user of present) if (!this.#served.has(user)) this.#served.set(user, level);
  }

  /** Counts prompt tokens that were computed for a user. */
  serve(user: string, tokens: number): void {
    this.#served.set(user, this.servedTokens(user) + tokens);
  }

  /** Prompt tokens counted for a user. */
  servedTokens(user: string): number {
    return this.#served.get(user) ?? 0;
  }

  /** Those who claim a turn, the first first. */
  order<Item extends Claimant>(claimants: readonly Item[]): readonly Item[] {
    return [...claimants].sort(
      (a, b) =>
        b.priority - a.priority ||
        this.servedTokens(a.user) - this.servedTokens(b.user) ||
        a.arrival - b.arrival,
    );
  }
}
