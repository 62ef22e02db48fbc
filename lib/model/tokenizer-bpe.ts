import * as library from "@huggingface/tokenizers";

import { reasonOf } from "../errors/air-error.js";
import { getString, getStringArray, type Metadata } from "./metadata.js";
import { tokenizerError } from "./model-errors.js";
import type { PieceCodec } from "./piece-codec.js";
import { tokenType, type Vocabulary } from "./vocabulary.js";

/** The part of the library that is used here; its own declarations do not resolve under "nodenext". */
interface LibraryTokenizer {
  encode(
    text: string,
    options: { readonly add_special_tokens: boolean },
  ): { readonly ids: readonly number[] };
}
const { Tokenizer: TokenizerOfLibrary } = library as unknown as {
  readonly Tokenizer: new (definition: object, config: object) => LibraryTokenizer;
};

/** How a family of models cuts text into words before merging, and what its files leave unsaid. */
interface PreTokenizer {
  /** Applied one after the other, each within the pieces of the one before; the text between matches stays. */
  readonly patterns: readonly string[];
  /** A word that is a token as a whole is taken as it is, whatever the merges say. */
  readonly ignoreMerges: boolean;
  readonly addBos: boolean;
}

const gpt2Pattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** Words, runs of at most `digits` digits, punctuation with its newlines, white space. */
const wordsPattern = (digits: string): string =>
  "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" +
  `${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

const gpt2: PreTokenizer = { patterns: [gpt2Pattern], ignoreMerges: false, addBos: false };
const llama3: PreTokenizer = { patterns: [wordsPattern("\\p{N}{1,3}")], ignoreMerges: true, addBos: true };
const fallback: PreTokenizer = {
  patterns: ["[\\p{P}\\$\\+<=>\\^~\\|]+", gpt2Pattern, "\\p{N}+", "[0-9][0-9][0-9]"],
  ignoreMerges: false,
  addBos: false,
};

/** By `tokenizer.ggml.pre`; the patterns are those that llama.cpp's src/llama-vocab.cpp gives these names. */
const preTokenizers: ReadonlyMap<string, PreTokenizer> = new Map([
  ["gpt-2", gpt2],
  ["llama-bpe", llama3],
  ["llama3", llama3],
  ["llama-v3", llama3],
  ["qwen2", { patterns: [wordsPattern("\\p{N}")], ignoreMerges: false, addBos: false }],
  ["smollm", { patterns: ["\\p{N}", gpt2Pattern], ignoreMerges: false, addBos: false }],
  ["default", fallback],
]);

/**
 * The pre-tokenizer that a byte-level BPE file names; files from before the key existed mean "default".
 * @throws {AirError} AIR_ERR_TOKENIZER naming a pre-tokenizer that is not known.
 */
export function findPreTokenizer(metadata: Metadata): PreTokenizer {
  const name = getString(metadata, "tokenizer.ggml.pre", "default");
  const found = preTokenizers.get(name);
  if (found !== undefined) return found;
  throw tokenizerError(
    "the pre-tokenizer (tokenizer.ggml.pre)",
    `one of ${[...preTokenizers.keys()].join(", ")}`,
    name,
  );
}

/** Byte-level BPE: text is cut into words, their UTF-8 bytes are written as letters, and pairs merge by rank. */
export function createByteLevelCodec(metadata: Metadata, vocabulary: Vocabulary): PieceCodec {
  const tokenizer = createLibraryTokenizer(metadata, vocabulary);
  return {
    addSpacePrefix: false,
    encode: (text) => tokenizer.encode(text, { add_special_tokens: false }).ids,
    tokenBytes: (id) => decodeToken(vocabulary, id),
  };
}

function createLibraryTokenizer(metadata: Metadata, vocabulary: Vocabulary): LibraryTokenizer {
  const preTokenizer = findPreTokenizer(metadata);
  const splits = preTokenizer.patterns.map((regex) => ({
    type: "Split",
    pattern: { Regex: regex },
    behavior: "Isolated",
    invert: false,
  }));
  const merges = readMerges(metadata, vocabulary);
  const definition = {
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [...splits, { type: "ByteLevel", add_prefix_space: false, use_regex: false }],
    },
    model: {
      type: "BPE",
      vocab: Object.fromEntries(vocabulary.textIds),
      merges,
      ignore_merges: preTokenizer.ignoreMerges,
    },
    post_processor: null,
    decoder: null,
    // Special tokens are found before the text reaches the library, which would always find them.
    added_tokens: [],
  };
  try {
    const tokenizer = new TokenizerOfLibrary(definition, {});
    // The library holds on to its definition, having made tables of its own from it; this gives the memory back.
    definition.model.vocab = {};
    merges.length = 0;
    return tokenizer;
  } catch (error) {
    throw tokenizerError("the byte-level BPE vocabulary", "a usable one", reasonOf(error), error);
  }
}

/** Pairs by rank, without those that form no token of plain text. */
function readMerges(metadata: Metadata, { textIds }: Vocabulary): (readonly [string, string])[] {
  const pairs: (readonly [string, string])[] = [];
  const seen = new Set<string>();
  for (const merge of getStringArray(metadata, "tokenizer.ggml.merges")) {
    const space = merge.indexOf(" ", 1);
    if (space === -1) throw tokenizerError("a merge", "two tokens with a space between", merge);
    const pair = [merge.slice(0, space), merge.slice(space + 1)] as const;
    // A pair listed twice has its first rank.
    if (!seen.has(merge) && textIds.has(pair.join(""))) pairs.push(pair);
    seen.add(merge);
  }
  return pairs;
}

/** Bytes by the letter that byte-level BPE writes them as: printable Latin-1 as itself, the rest from U+0100 on. */
const letterBytes: ReadonlyMap<string, number> = (() => {
  const letters = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    letters.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return letters;
})();

function decodeToken({ tokens, types }: Vocabulary, id: number): Uint8Array {
  const text = tokens[id] ?? "";
  const type = types[id];
  if (type === tokenType.control || type === tokenType.userDefined || type === tokenType.unknown) {
    return Buffer.from(text);
  }
  const bytes: number[] = [];
  for (const letter of text) {
    const byte = letterBytes.get(letter);
    // Not a letter of the byte alphabet: the token can only have been written as plain text.
    if (byte === undefined) return Buffer.from(text);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
