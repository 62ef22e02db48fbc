import { readFileSync } from "node:fs";
import { join } from "node:path";

import { invalidArgument } from "../../lib/errors/air-error.js";
import type { Model } from "../../lib/index.js";

/** The folder of `--dir`, which holds the trained models and eval.txt (models/README.md). */
export function requireFolder(dir: string | undefined): string {
  if (dir === undefined) throw invalidArgument("--dir", "the folder of the trained models and eval.txt", dir);
  return dir;
}

/** Token ids of eval.txt, without BOS. */
export function readEvalTokens(dir: string, { tokenizer }: Pick<Model, "tokenizer">): Int32Array {
  const text = readFileSync(join(dir, "eval.txt"), "utf8");
  return tokenizer.encode(text, { special: false, bos: false });
}

/** As in tables: "12.3". */
export function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

/** "+1.2%" of what `value` is above `base`. */
export function change(value: number, base: number): string {
  const percent = (value / base - 1) * 100;
  return `${percent < 0 ? "" : "+"}${percent.toFixed(2)}%`;
}
