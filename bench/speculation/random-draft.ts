/**
 * Writes a model with the sizes and the vocabulary of another one and random weights, to see what a useless draft costs.
 *
 *   npx tsx bench/speculation/random-draft.ts SOURCE OUT
 */
import { argv, exit, stderr } from "node:process";

import { writeRandomModel } from "./random-model.js";

const [source, target] = argv.slice(2);
if (source === undefined || target === undefined) {
  stderr.write("expected SOURCE and OUT, two GGUF files\n");
  exit(2);
}
await writeRandomModel(source, target);
