import { appendFile, readFile, writeFile } from "node:fs/promises";

import { ioError } from "../errors/air-error.js";
import type { Score } from "./scored-text.js";

/**
 * Scores by name, kept in a file as they are found, so that an interrupted calibration goes on where it stopped. A file
 * that was made from something else is started over.
 */
export class ScoreJournal {
  readonly #path: string | undefined;
  readonly #scores: Map<string, Score>;

  private constructor(path: string | undefined, scores: Map<string, Score>) {
    this.#path = path;
    this.#scores = scores;
  }

  /**
   * @param path - the file; undefined keeps nothing
   * @param identity - model, text and settings; a journal of others does not count
   * @throws {AirError} AIR_ERR_IO when the file cannot be written
   */
  static async open(path: string | undefined, identity: string): Promise<ScoreJournal> {
    if (path === undefined) return new ScoreJournal(undefined, new Map());
    const [first, ...lines] = await readLines(path);
    const isOurs = first === identity;
    const scores = new Map(isOurs ? lines.flatMap(parseEntry) : []);
    // Written anew: the last line of an interrupted run may be cut.
    const kept = [...scores].map(([name, score]) => formatEntry(name, score));
    await writable(path, () => writeFile(path, [identity, ...kept, ""].join("\n")));
    return new ScoreJournal(path, scores);
  }

  get size(): number {
    return this.#scores.size;
  }

  /** The score of this name, computed unless it is known. */
  async score(name: string, compute: () => Promise<Score>): Promise<Score> {
    const known = this.#scores.get(name);
    if (known !== undefined) return known;
    const score = await compute();
    this.#scores.set(name, score);
    const path = this.#path;
    if (path !== undefined) await writable(path, () => appendFile(path, `${formatEntry(name, score)}\n`));
    return score;
  }
}

function formatEntry(name: string, { divergence, nll, nllByHalf }: Score): string {
  return JSON.stringify([name, divergence, nll, ...nllByHalf]);
}

function parseEntry(line: string): [string, Score][] {
  try {
    const value: unknown = JSON.parse(line);
    if (!Array.isArray(value)) return [];
    const [name, divergence, nll, early, late] = value as readonly unknown[];
    if (typeof name !== "string" || typeof nll !== "number") return [];
    if (typeof early !== "number" || typeof late !== "number") return [];
    return [
      [
        name,
        { divergence: typeof divergence === "number" ? divergence : NaN, nll, nllByHalf: [early, late] },
      ],
    ];
  } catch {
    return []; // cut off while it was written
  }
}

async function readLines(path: string): Promise<readonly string[]> {
  try {
    return (await readFile(path, "utf8")).split("\n");
  } catch {
    return [];
  }
}

async function writable(path: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    throw ioError(path, "a writable file", cause);
  }
}
