import { createHash } from "node:crypto";

import {
  getBoolean,
  getInteger,
  getNumberArray,
  getString,
  getStringArray,
  type Metadata,
} from "./metadata.js";
import { tokenizerError } from "./model-errors.js";

/** What a token is for, by GGUF's numbers. */
export const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** The tokens of a model and what its file says about them. */
export interface Vocabulary {
  /** Token text as the file has it: byte-level BPE writes bytes as letters, SentencePiece spaces as U+2581. */
  readonly tokens: readonly string[];
  /**
   * Ids by text of the tokens that plain text may become: all but control, unknown and byte tokens, so that no
   * sequence of merges turns text into one of those (llama.cpp would, where a vocabulary allows it).
   */
  readonly textIds: ReadonlyMap<string, number>;
  /** [tokens] a value of tokenType. */
  readonly types: Uint8Array;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly unknownId: number | undefined;
  /** Ids that end a generation, ascending. */
  readonly endOfGenerationIds: readonly number[];
  readonly addBos: boolean;
  readonly addEos: boolean;
  /** SHA-256 over texts and types, hex: equal for files whose ids mean the same. */
  readonly fingerprint: string;
}

/** What a tokenizer kind assumes where the file says nothing. */
export interface VocabularyDefaults {
  readonly bosId?: number;
  readonly eosId?: number;
  readonly unknownId?: number;
  readonly addBos: boolean;
}

/**
 * Texts that end a turn or a document in published models. Files often type them wrongly, so they count as control
 * tokens whatever their type: as plain text they would let a prompt end its own turn.
 */
const endOfGenerationTexts: readonly string[] = [
  "<|eot_id|>",
  "<|eom_id|>",
  "<|im_end|>",
  "<|end|>",
  "<|endoftext|>",
  "<|end_of_text|>",
  "<end_of_turn>",
  "<end_of_utterance>",
  "</s>",
  "<EOT>",
  "_<EOT>",
  "[EOT]",
  "[EOS]",
  "<eos>",
  "<|return|>",
  "<|call|>",
  "<|fim_pad|>",
  "<|repo_name|>",
  "<|file_sep|>",
];

/** Control tokens by name that end nothing: the markers for filling in text between two parts. */
const fillInTexts: readonly string[] = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"];

const ggml = (name: string): string => `tokenizer.ggml.${name}`;

/**
 * Reads the vocabulary of a GGUF file.
 *
 * @throws {AirError} AIR_ERR_TOKENIZER when it is empty, repeats a token or its arrays differ in length;
 * AIR_ERR_MODEL_FORMAT for metadata of the wrong type and special ids outside the vocabulary.
 */
export function readVocabulary(metadata: Metadata, defaults: VocabularyDefaults): Vocabulary {
  const tokens = getStringArray(metadata, ggml("tokens"));
  if (tokens.length === 0) throw tokenizerError(`metadata ${ggml("tokens")}`, "at least one token", tokens);
  const ids = new Map(tokens.map((text, id) => [text, id]));
  if (ids.size !== tokens.length) requireDistinct(tokens, ids);
  const types = readTypes(metadata, tokens.length);
  const named = endOfGenerationTexts.flatMap((text) => ids.get(text) ?? []);
  const fillIn = fillInTexts.flatMap((text) => ids.get(text) ?? []);
  for (const id of [...named, ...fillIn]) types[id] = tokenType.control;
  for (const [id, text] of tokens.entries()) {
    if (isHiddenType(types[id]) || types[id] === tokenType.byte) ids.delete(text);
  }

  const bosId = specialId(metadata, "bos_token_id", tokens.length, defaults.bosId);
  const eosId = specialId(metadata, "eos_token_id", tokens.length, defaults.eosId);
  const ends = ["eot_token_id", "eom_token_id"].map((key) => specialId(metadata, key, tokens.length));
  const endIds = [eosId, ...ends, ...named].filter((id) => id !== undefined);
  return {
    tokens,
    textIds: ids,
    types,
    bosId,
    eosId,
    unknownId: specialId(metadata, "unknown_token_id", tokens.length, defaults.unknownId),
    endOfGenerationIds: [...new Set(endIds)].sort((a, b) => a - b),
    addBos: bosId !== undefined && getBoolean(metadata, ggml("add_bos_token"), defaults.addBos),
    addEos: eosId !== undefined && getBoolean(metadata, ggml("add_eos_token"), false),
    fingerprint: fingerprint(metadata, tokens, types),
  };
}

/** Whether tokens of this type are never shown and never come from plain text. */
export function isHiddenType(type: number | undefined): boolean {
  return type === tokenType.control || type === tokenType.unknown;
}

/** The scores of a SentencePiece vocabulary, one per token. */
export function readScores(metadata: Metadata, count: number): Float32Array {
  const scores = getNumberArray(metadata, ggml("scores"));
  if (scores.length !== count)
    throw tokenizerError("the scores", `${String(count)}, one per token,`, scores.length);
  return Float32Array.from(scores);
}

/** Only the empty text may occur more than once; nothing is ever looked up by it. */
function requireDistinct(tokens: readonly string[], ids: ReadonlyMap<string, number>): void {
  const repeated = tokens.find((text, id) => text !== "" && ids.get(text) !== id);
  if (repeated !== undefined) throw tokenizerError(`metadata ${ggml("tokens")}`, "each token once", repeated);
}

function readTypes(metadata: Metadata, count: number): Uint8Array {
  if (!metadata.has(ggml("token_type"))) return new Uint8Array(count).fill(tokenType.normal);
  const types = getNumberArray(metadata, ggml("token_type"));
  if (types.length !== count) {
    throw tokenizerError("the token types", `${String(count)}, one per token,`, types.length);
  }
  return Uint8Array.from(types);
}

function specialId(metadata: Metadata, name: string, count: number, fallback?: number): number | undefined {
  if (!metadata.has(ggml(name))) return fallback !== undefined && fallback < count ? fallback : undefined;
  return getInteger(metadata, ggml(name), { minimum: 0, maximum: count - 1 });
}

function fingerprint(metadata: Metadata, tokens: readonly string[], types: Uint8Array): string {
  const hash = createHash("sha256");
  hash.update(`${getString(metadata, ggml("model"))}\0${getString(metadata, ggml("pre"), "")}\0`);
  hash.update(tokens.join("\0"));
  return hash.update(types).digest("hex");
}
