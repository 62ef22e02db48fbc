import { getBoolean, type Metadata } from "./metadata.js";
import { mergeByScore } from "./score-merge.js";
import type { PieceCodec } from "./piece-codec.js";
import { readScores, tokenType, type Vocabulary } from "./vocabulary.js";

/** SentencePiece writes a space as this letter, so that pieces can span words. */
const spaceLetter = "\u2581";

/**
 * SentencePiece's BPE with byte fallback ("llama"): adjacent pieces merge by the score of what they form; characters
 * that are no token become their UTF-8 bytes.
 *
 * The merge loop is our own (score-merge.ts): the library merges by a list of pairs in strict order, and a SentencePiece
 * file has scores of pieces instead. A list derived from them cannot say "equal scores, leftmost first", and it held
 * 30 MB for a vocabulary of 32,000 (61,000 pairs) and took three times as long.
 */
export function createSentencePieceCodec(metadata: Metadata, vocabulary: Vocabulary): PieceCodec {
  const scores = readScores(metadata, vocabulary.tokens.length);
  const addSpacePrefix = getBoolean(metadata, "tokenizer.ggml.add_space_prefix", true);
  const byteIds = findByteIds(vocabulary);
  const unknown = vocabulary.unknownId === undefined ? [] : [vocabulary.unknownId];
  const pieceIds = (piece: string): readonly number[] => {
    const id = vocabulary.textIds.get(piece);
    if (id !== undefined) return [id];
    return Array.from(Buffer.from(piece), (byte) => byteIds[byte] ?? unknown).flat();
  };
  return {
    addSpacePrefix,
    encode: (text, startsText) => {
      const spaced = (addSpacePrefix && startsText ? " " : "") + text;
      return mergeByScore(spaced.replaceAll(" ", spaceLetter), vocabulary.textIds, scores).flatMap(pieceIds);
    },
    tokenBytes: (id) => decodePiece(vocabulary, id),
  };
}

/** [256] id of each byte's token, where there is one. */
function findByteIds({ tokens, types }: Vocabulary): readonly (number | undefined)[] {
  const ids = new Array<number | undefined>(256);
  for (const [id, text] of tokens.entries()) {
    const byte = types[id] === tokenType.byte ? parseByte(text) : undefined;
    if (byte !== undefined) ids[byte] = id;
  }
  return ids;
}

/** The byte that a token such as `<0x0A>` names. */
function parseByte(text: string): number | undefined {
  const hex = /^<0x([0-9A-F]{2})>$/.exec(text)?.[1];
  return hex === undefined ? undefined : Number.parseInt(hex, 16);
}

function decodePiece({ tokens, types }: Vocabulary, id: number): Uint8Array {
  const text = tokens[id] ?? "";
  switch (types[id]) {
    case tokenType.byte: {
      const byte = parseByte(text);
      return byte === undefined ? Buffer.from(text) : Uint8Array.of(byte);
    }
    case tokenType.normal:
      return Buffer.from(text.replaceAll(spaceLetter, " "));
    default:
      return Buffer.from(text);
  }
}
