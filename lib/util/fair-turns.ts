/** A request as far as turns are concerned. */
export interface Claimant {
  readonly priority: number;
  /** On whose behalf it is. */
  readonly user: string;
  readonly arrival: number;
}

/**
 * Whose request is next: among equal priorities that of the user who was served the least, so that one user with many
 * requests does not hold up the others; and a user's requests in order of arrival.
 */
export class FairTurns {
  /** What each present user was served, from the level at which the user joined. */
  readonly #served = new Map<string, number>();

  /** Notes who has requests now. A user who joins starts level with the least served: neither ahead for having been away, nor behind. */
  keep(users: Iterable<string>): void {
    const present = new Set(users);
    for (const user of [...this.#served.keys()]) if (!present.has(user)) this.#served.delete(user);
    const level = this.#served.size === 0 ? 0 : Math.min(...this.#served.values());
    for (const user of present) if (!this.#served.has(user)) this.#served.set(user, level);
  }

  /** Counts an amount of work that was done for a user, in whatever unit. */
  serve(user: string, amount: number): void {
    this.#served.set(user, this.served(user) + amount);
  }

  /** What was counted for a user. */
  served(user: string): number {
    return this.#served.get(user) ?? 0;
  }

  /** Those who claim a turn, the first first. */
  order<Item extends Claimant>(claimants: readonly Item[]): readonly Item[] {
    return [...claimants].sort(
      (a, b) => b.priority - a.priority || this.served(a.user) - this.served(b.user) || a.arrival - b.arrival,
    );
  }
}
