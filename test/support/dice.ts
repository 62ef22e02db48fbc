import { uniform } from "../../lib/util/rng.js";

/** Integers in [0, limit). */
export type Dice = (limit: number) => number;

/** Dice whose throws are a function of the seed. */
export function createDice(seed: number): Dice {
  let draws = 0;
  return (limit) => Math.floor(uniform(seed, (draws += 1), "sample") * limit);
}
