import { describe, expect, test } from "vitest";

import { type Claimant, FairTurns } from "../../../lib/util/fair-turns.js";

function claim(user: string, arrival: number, priority = 0): Claimant {
  return { user, arrival, priority };
}

function arrivals(turns: FairTurns, claimants: readonly Claimant[]): readonly number[] {
  return turns.order(claimants).map(({ arrival }) => arrival);
}

describe("FairTurns", () => {
  test("orders by priority, then by what each user got, then by arrival", () => {
    const turns = new FairTurns();
    turns.keep(["a", "b"]);
    turns.serve("a", 10);
    const claimants = [claim("a", 1), claim("b", 4), claim("b", 3), claim("a", 2, -1), claim("a", 5, 1)];
    expect(arrivals(turns, claimants)).toEqual([5, 3, 4, 1, 2]);
    turns.serve("b", 11);
    expect(arrivals(turns, claimants)).toEqual([5, 1, 3, 4, 2]);
  });

  test("starts a user who joins or comes back level with the least served", () => {
    const turns = new FairTurns();
    turns.keep(["a", "b"]);
    turns.serve("a", 100);
    turns.serve("b", 60);
    turns.keep(["a", "b", "c"]);
    expect(turns.served("c")).toBe(60);
    turns.serve("c", 500);
    turns.keep(["a", "b"]);
    turns.keep(["a", "b", "c"]);
    expect(turns.served("c")).toBe(60);
  });

  test("forgets everybody when nobody is left", () => {
    const turns = new FairTurns();
    turns.keep(["a"]);
    turns.serve("a", 100);
    turns.keep([]);
    turns.keep(["a"]);
    expect(turns.served("a")).toBe(0);
  });
});
