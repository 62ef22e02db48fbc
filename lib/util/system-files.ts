import { readdirSync, readFileSync } from "node:fs";

/** Names in a folder of the system's, sorted; none where there is no such folder. */
export function listFolder(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

/** A text file of the system's without space around it; undefined where it cannot be read, as sensors at times. */
export function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** A file of one number; undefined where it holds something else, or cannot be read. */
export function readNumber(file: string): number | undefined {
  const text = readText(file);
  const value = text === undefined || text === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : undefined;
}
