import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

/** Ids of a line as plain text, and with control tokens recognised. */
export interface LineIds {
  readonly plain: ArrayLike<number>;
  readonly special: ArrayLike<number>;
}

/** What a golden file says about a line: a hash of the ids, and for a sample of lines the ids. */
export interface GoldenLine {
  readonly hash: string;
  readonly ids: string | undefined;
}

/** Every so many lines the golden file holds the ids besides their hash. */
const sampleInterval = 25;

/** One line of a golden file. */
export function formatGoldenLine(index: number, ids: LineIds): string {
  return index % sampleInterval === 0 ? `${hashIds(ids)} ${formatIds(ids)}` : hashIds(ids);
}

/** Reads the golden file of a vocabulary. */
export function readGoldenFile(name: string): readonly GoldenLine[] {
  const text = readFileSync(new URL(`${name}.golden.txt`, import.meta.url), "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => {
      const [hash = "", ids] = line.split(" ");
      return { hash, ids };
    });
}

/** `1,2,3|1,7`: plain ids, then those with control tokens. */
export function formatIds({ plain, special }: LineIds): string {
  return `${Array.from(plain).join(",")}|${Array.from(special).join(",")}`;
}

/** Eight hex digits over both. */
export function hashIds(ids: LineIds): string {
  return createHash("sha256").update(formatIds(ids)).digest("hex").slice(0, 8);
}
