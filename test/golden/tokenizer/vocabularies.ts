import { readFileSync } from "node:fs";

import type { MetadataEntry } from "../../../bench/models/gguf-writer.js";

/** A small tokenizer as the metadata of a vocabulary-only GGUF file. */
export interface GoldenVocabulary {
  /** Also the name of its golden file. */
  readonly name: string;
  readonly metadata: readonly MetadataEntry[];
}

const type = { normal: 1, unknown: 2, control: 3, userDefined: 4, byte: 6 } as const;

interface Token {
  readonly text: string;
  readonly type: number;
  readonly score: number;
}

/** Hyperparameters that llama.cpp wants even of a file without tensors. */
const modelMetadata: readonly MetadataEntry[] = [
  { key: "general.architecture", type: "string", value: "llama" },
  { key: "llama.block_count", type: "uint32", value: 1 },
  { key: "llama.context_length", type: "uint32", value: 64 },
  { key: "llama.embedding_length", type: "uint32", value: 32 },
  { key: "llama.feed_forward_length", type: "uint32", value: 32 },
  { key: "llama.attention.head_count", type: "uint32", value: 1 },
  { key: "llama.attention.layer_norm_rms_epsilon", type: "float32", value: 1e-5 },
];

/** Byte-level BPE under every supported pre-tokenizer, and SentencePiece with and without the space in front. */
export function goldenVocabularies(): readonly GoldenVocabulary[] {
  const preTokenizers = ["gpt-2", "llama-bpe", "qwen2", "smollm", "default"];
  return [
    ...preTokenizers.map((pre) => ({ name: `bpe-${pre}`, metadata: byteLevelMetadata(pre) })),
    { name: "sentencepiece", metadata: sentencePieceMetadata(true) },
    { name: "sentencepiece-no-prefix", metadata: sentencePieceMetadata(false) },
  ];
}

function byteLevelMetadata(pre: string): readonly MetadataEntry[] {
  const merges = readLines("bpe-merges.txt").filter((merge) => !isReserved(merge.replace(" ", "")));
  const texts = new Set([
    ...byteLetters(),
    ...merges.map((merge) => merge.replace(" ", "")),
    ...wordsWithoutMerges,
  ]);
  const tokens: readonly Token[] = [
    ...Array.from(texts, (text) => ({ text, type: type.normal, score: 0 })),
    ...byteLevelSpecials,
  ];
  return [
    ...modelMetadata,
    { key: "tokenizer.ggml.model", type: "string", value: "gpt2" },
    { key: "tokenizer.ggml.pre", type: "string", value: pre },
    ...tokenArrays(tokens),
    { key: "tokenizer.ggml.merges", type: "array", itemType: "string", value: merges },
    { key: "tokenizer.ggml.bos_token_id", type: "uint32", value: texts.size },
    { key: "tokenizer.ggml.eos_token_id", type: "uint32", value: texts.size + 1 },
  ];
}

function sentencePieceMetadata(addSpacePrefix: boolean): readonly MetadataEntry[] {
  const pieces = readLines("sentencepiece-pieces.txt").map((line): Token => {
    const [score = "", text = ""] = line.split("\t");
    return { text, type: type.normal, score: Number(score) };
  });
  const tokens: readonly Token[] = [
    ...sentencePieceSpecials,
    ...pieces.filter(({ text }) => !isReserved(text)),
    ...laterSpecials,
  ];
  return [
    ...modelMetadata,
    { key: "tokenizer.ggml.model", type: "string", value: "llama" },
    ...tokenArrays(tokens),
    {
      key: "tokenizer.ggml.scores",
      type: "array",
      itemType: "float32",
      value: tokens.map(({ score }) => score),
    },
    { key: "tokenizer.ggml.bos_token_id", type: "uint32", value: 1 },
    { key: "tokenizer.ggml.eos_token_id", type: "uint32", value: 2 },
    { key: "tokenizer.ggml.add_space_prefix", type: "bool", value: addSpacePrefix },
  ];
}

/** Special tokens, and texts that become such by their name: plain text must not be able to form them. */
function isReserved(text: string): boolean {
  const specials = [...byteLevelSpecials, ...sentencePieceSpecials, ...laterSpecials];
  return specials.some((special) => special.text === text);
}

/** Unknown, bos, eos, then the bytes. */
const sentencePieceSpecials: readonly Token[] = [
  { text: "<unk>", type: type.unknown, score: 0 },
  { text: "<s>", type: type.control, score: 0 },
  { text: "</s>", type: type.control, score: 0 },
  ...Array.from({ length: 256 }, (_, byte) => ({
    text: `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
    type: type.byte,
    score: 0,
  })),
];

const laterSpecials: readonly Token[] = [
  { text: "[INST]", type: type.userDefined, score: 0 },
  { text: "<|user|>", type: type.control, score: 0 },
];

function tokenArrays(tokens: readonly Token[]): readonly MetadataEntry[] {
  return [
    {
      key: "tokenizer.ggml.tokens",
      type: "array",
      itemType: "string",
      value: tokens.map(({ text }) => text),
    },
    {
      key: "tokenizer.ggml.token_type",
      type: "array",
      itemType: "int32",
      value: tokens.map((token) => token.type),
    },
  ];
}

/** Bos first, then eos. */
const byteLevelSpecials: readonly Token[] = [
  { text: "<|bos|>", type: type.control, score: 0 },
  // Typed as normal text, as some published files have it; its name makes it a control token.
  { text: "<|end|>", type: type.normal, score: 0 },
  { text: "<|im_start|>", type: type.control, score: 0 },
  { text: "<|user|>", type: type.control, score: 0 },
  { text: "[INST]", type: type.userDefined, score: 0 },
  { text: "=-=", type: type.userDefined, score: 0 },
];

/** Tokens that no merge builds: only a pre-tokenizer that ignores merges for whole words finds them. */
const wordsWithoutMerges: readonly string[] = [
  "\u0120engine",
  "\u0120kettle",
  "567",
  "\u0120Strange",
  "merge",
];

/** The 256 letters that byte-level BPE writes bytes as. */
export function byteLetters(): readonly string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(printable ? byte : next++);
  });
}

function readLines(name: string): readonly string[] {
  return readFileSync(new URL(name, import.meta.url), "utf8")
    .split("\n")
    .filter((line) => line !== "");
}
