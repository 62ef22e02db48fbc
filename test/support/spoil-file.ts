/**
 * Has the file of a loaded model spoilt, and prints as JSON what it said before, and what came of asking it again:
 * node spoil-file.ts MODEL FOLDER cut|overwrite|replace|remove|cut-pack|cut-draft
 */
import {
  copyFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { AirError, loadModel, type Model } from "../../lib/index.js";

const [, , source = "", folder = "", how = ""] = process.argv;
const file = join(folder, "model.gguf");
const packs = join(folder, "packs");
const draft = join(folder, "draft.gguf");

/** What is done to the file, without asking the one who reads it. */
const ways: Readonly<Record<string, () => void>> = {
  cut: () => {
    truncateSync(file, 4096);
  },
  overwrite: () => {
    writeFileSync(file, Buffer.alloc(statSync(file).size, 7));
  },
  replace: () => {
    writeFileSync(`${file}.new`, "another model");
    renameSync(`${file}.new`, file);
  },
  remove: () => {
    rmSync(file);
  },
  "cut-pack": () => {
    const [pack = ""] = readdirSync(packs);
    truncateSync(join(packs, pack), 4096);
  },
  "cut-draft": () => {
    truncateSync(draft, 4096);
  },
};

async function answer(model: Model): Promise<string> {
  using session = model.createSession();
  return (await session.generate("Once upon a time", { maxTokens: 8, temperature: 0 }).result).text;
}

copyFileSync(source, file);
copyFileSync(source, draft);
const options = { contextTokens: 256, threads: 1, packCache: packs, ...(how === "cut-draft" && { draft }) };
if (how === "cut-pack") (await loadModel(file, options)).close(); // the next one maps what this one wrote
using model = await loadModel(file, options);
const before = await answer(model);
ways[how]?.();
const after = await answer(model).catch((error: unknown) =>
  error instanceof AirError ? { code: error.code, message: error.message } : String(error),
);
console.log(JSON.stringify({ packs: model.info.packCache?.outcome, before, after }));
