/**
 * Regenerates test/golden/tokenizer: trains the two small vocabularies on the corpus and asks llama.cpp, through
 * node-llama-cpp, for the ids of every line. Tests need neither; run this only when the corpus or a vocabulary changes:
 *
 *   mkdir peer && cd peer && npm init -y && npm install node-llama-cpp@3.22.1 && cd ..
 *   npx tsx scripts/make-tokenizer-goldens.ts peer
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { writeGguf } from "../bench/models/gguf-writer.js";
import { corpusLines } from "../test/golden/tokenizer/corpus.js";
import { formatGoldenLine } from "../test/golden/tokenizer/golden-file.js";
import { byteLetters, goldenVocabularies } from "../test/golden/tokenizer/vocabularies.js";

/** The part of node-llama-cpp that is used here. */
interface Peer {
  getLlama(options: object): Promise<{ loadModel(options: object): Promise<PeerModel> }>;
}

interface PeerModel {
  tokenize(text: string, specialTokens: boolean): readonly number[];
  dispose(): Promise<void>;
}

const goldenFolder = new URL("../test/golden/tokenizer/", import.meta.url);
const bundledModel = new URL("../models/air-tiny-chat-q4_0.gguf", import.meta.url);
const lineMerges = 150;
const wordMerges = 450;

type Pair = readonly [left: string, right: string];

/** Byte-pair merges by falling frequency; the naive algorithm, on a few thousand units. */
function trainMerges(units: readonly (readonly string[])[], count: number): readonly Pair[] {
  let words = units;
  const merges: Pair[] = [];
  while (merges.length < count) {
    const best = mostFrequentPair(words);
    if (best === undefined) break;
    merges.push(best);
    words = words.map((word) => applyMerge(word, best));
  }
  return merges;
}

function mostFrequentPair(words: readonly (readonly string[])[]): Pair | undefined {
  const counts = new Map<string, { readonly pair: Pair; count: number }>();
  for (const word of words) {
    for (let i = 1; i < word.length; i++) {
      const pair: Pair = [word[i - 1] ?? "", word[i] ?? ""];
      const key = pair.join("\n");
      const entry = counts.get(key) ?? { pair, count: 0 };
      entry.count++;
      counts.set(key, entry);
    }
  }
  const sorted = [...counts.entries()].sort(([a, x], [b, y]) => y.count - x.count || (a < b ? -1 : 1));
  return sorted[0]?.[1].pair;
}

function applyMerge(word: readonly string[], [left, right]: Pair): readonly string[] {
  const merged: string[] = [];
  for (let i = 0; i < word.length; i++) {
    const joins = word[i] === left && word[i + 1] === right;
    merged.push(joins ? left + right : (word[i] ?? ""));
    if (joins) i++;
  }
  return merged;
}

/**
 * Merges from whole lines, so that tokens span what pre-tokenizers separate and a wrong split shows, then from the
 * corpus's different words.
 */
function trainOnLinesAndWords(
  lines: readonly string[],
  toSymbols: (text: string) => readonly (readonly string[])[],
): readonly Pair[] {
  const words = [...new Set(lines.flatMap((line) => line.split(/(?=\s)/)))];
  return [
    ...trainMerges(lines.flatMap(toSymbols), lineMerges),
    ...trainMerges(words.flatMap(toSymbols), wordMerges),
  ];
}

function trainByteLevelMerges(lines: readonly string[]): readonly string[] {
  const letters = byteLetters();
  const merges = trainOnLinesAndWords(lines, (text) => [
    Array.from(Buffer.from(text), (byte) => letters[byte] ?? ""),
  ]);
  return [...new Set(merges.map((pair) => pair.join(" ")))];
}

/** `score<TAB>piece` lines. Two pieces share each score, so that ties matter; rare characters fall back to bytes. */
function trainPieces(lines: readonly string[]): readonly string[] {
  const withSpaceLetter = (text: string): readonly string[] => Array.from(text.replaceAll(" ", "\u2581"));
  const counts = new Map<string, number>();
  for (const character of lines.flatMap(withSpaceLetter))
    counts.set(character, (counts.get(character) ?? 0) + 1);
  const characters = [...counts]
    .filter(([character, count]) => count >= 8 && /[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(character))
    .map(([character]) => character)
    .sort();
  const known = new Set(characters);
  const merges = trainOnLinesAndWords(lines, (text) =>
    splitAt(withSpaceLetter(text), (character) => !known.has(character)),
  );
  // llama.cpp lets merges form control and byte tokens out of plain text, which we do not: no piece leads there.
  const pieces = new Set(merges.map(([left, right]) => left + right).filter((piece) => !/[<>]/.test(piece)));
  return [...pieces, ...characters].map((piece, i) => `${String(-Math.floor(i / 2))}\t${piece}`);
}

function splitAt(
  items: readonly string[],
  separates: (item: string) => boolean,
): readonly (readonly string[])[] {
  const parts: string[][] = [[]];
  for (const item of items) {
    if (separates(item)) parts.push([]);
    else parts.at(-1)?.push(item);
  }
  return parts;
}

async function loadPeer(folder: string): Promise<Peer> {
  const require = createRequire(join(resolve(folder), "package.json"));
  return (await import(pathToFileURL(require.resolve("node-llama-cpp")).href)) as Peer;
}

async function writeGolden(name: string, model: PeerModel, lines: readonly string[]): Promise<void> {
  const golden = lines.map((line, i) =>
    formatGoldenLine(i, { plain: model.tokenize(line, false), special: model.tokenize(line, true) }),
  );
  await writeFile(new URL(`${name}.golden.txt`, goldenFolder), `${golden.join("\n")}\n`);
  await model.dispose();
}

async function main(peerFolder: string | undefined): Promise<void> {
  if (peerFolder === undefined) {
    process.stderr.write("usage: make-tokenizer-goldens.ts FOLDER-WITH-NODE-LLAMA-CPP\n");
    process.exitCode = 2;
    return;
  }
  const lines = corpusLines();
  await writeFile(new URL("bpe-merges.txt", goldenFolder), `${trainByteLevelMerges(lines).join("\n")}\n`);
  await writeFile(new URL("sentencepiece-pieces.txt", goldenFolder), `${trainPieces(lines).join("\n")}\n`);

  const peer = await loadPeer(peerFolder);
  const llama = await peer.getLlama({ gpu: false, build: "never", logLevel: "error" });
  const scratch = await mkdtemp(join(tmpdir(), "air-goldens-"));
  try {
    for (const { name, metadata } of goldenVocabularies()) {
      const path = join(scratch, `${name}.gguf`);
      await writeGguf(path, { metadata, tensors: [] });
      await writeGolden(name, await llama.loadModel({ modelPath: path, vocabOnly: true }), lines);
    }
    const bundled = { modelPath: bundledModel.pathname, vocabOnly: true };
    await writeGolden("air-tiny-chat", await llama.loadModel(bundled), lines);
  } finally {
    await rm(scratch, { recursive: true });
  }
}

await main(process.argv[2]);
process.exit(); // node-llama-cpp keeps handles open
