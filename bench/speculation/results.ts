import { mkdirSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

import { describeMachine, type MachineInfo } from "../../lib/benchmark/machine.js";
import { loadAddon } from "../../lib/native/load.js";

/** When, how and where something was measured. */
export interface Provenance {
  readonly date: string;
  /** Without the folders of files. */
  readonly command: string;
  readonly machine: MachineInfo & { readonly loadAverage: number };
}

/** A word of a command line, or a list with commas, with file names in place of paths. */
function withoutFolders(word: string): string {
  return word
    .split(",")
    .map((part) => basename(part))
    .join(",");
}

/** Provenance of what the script has measured up to now. */
export function provenance(script: string): Provenance {
  return {
    date: new Date().toISOString().slice(0, 10),
    command: [`npx tsx ${script}`, ...process.argv.slice(2).map(withoutFolders)].join(" "),
    machine: { ...describeMachine(loadAddon()), loadAverage: loadavg()[0] ?? 0 },
  };
}

/** Writes bench/results/NAME.json. */
export function saveResults(name: string, report: object): void {
  const folder = fileURLToPath(new URL("../results", import.meta.url));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(report, null, 2)}\n`);
}

/** A file's name without folder and ending. */
export function modelName(file: string): string {
  return basename(file, ".gguf");
}
