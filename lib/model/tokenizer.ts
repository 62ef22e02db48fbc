import { invalidArgument } from "../errors/air-error.js";
import { createIncrementalDecoder, type IncrementalDecoder } from "./incremental-decoder.js";
import { getString, type Metadata } from "./metadata.js";
import { tokenizerError } from "./model-errors.js";
import type { PieceCodec } from "./piece-codec.js";
import { createSpecialTokens, type Segment } from "./special-tokens.js";
import { createByteLevelCodec, findPreTokenizer } from "./tokenizer-bpe.js";
import { createSentencePieceCodec } from "./tokenizer-sentencepiece.js";
import { isHiddenType, readVocabulary, type Vocabulary } from "./vocabulary.js";

export interface EncodeOptions {
  /** Control tokens written in the text become those tokens. Default false: they are plain text. */
  readonly special?: boolean;
  /** Put the beginning-of-sequence token, if there is one, first. Default: addBos. */
  readonly bos?: boolean;
}

export interface DecodeOptions {
  /** Show control tokens by their text. Default false: they are left out. */
  readonly special?: boolean;
}

/** Text to token ids and back, as the model was trained. */
export interface Tokenizer {
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  /** Ids that end a generation, ascending. */
  readonly endOfGenerationIds: readonly number[];
  /** The model expects bosId first. */
  readonly addBos: boolean;
  /** The model expects eosId after a complete text; encode leaves that to the caller. */
  readonly addEos: boolean;
  /** Hash of the vocabulary: models whose fingerprints are equal can share token ids. */
  readonly fingerprint: string;
  /** Texts of the control tokens, longest first. */
  readonly controlTexts: readonly string[];
  encode(text: string, options?: EncodeOptions): Int32Array;
  /** Ids of text that was already cut at special tokens; no beginning-of-sequence token is added. */
  encodeSegments(segments: readonly Segment[]): Int32Array;
  /** Cuts text at control and user-defined tokens. */
  partition(text: string): readonly Segment[];
  /** The text of ids as a whole; the space that encode may have put in front is taken off again. */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
  /** A decoder of ids that continue a text, one at a time; a leading space is kept. */
  createDecoder(options?: DecodeOptions): IncrementalDecoder;
  /** The bytes that a token stands for; a control token's are its text. */
  tokenBytes(id: number): Uint8Array;
  /** Whether a token is left out of decoded text. */
  isControl(id: number): boolean;
}

/**
 * Builds the tokenizer that a GGUF file describes.
 *
 * @throws {AirError} AIR_ERR_TOKENIZER when the file has none or one of an unknown kind; AIR_ERR_MODEL_FORMAT for
 * metadata of the wrong type.
 */
export function createTokenizer(metadata: Metadata): Tokenizer {
  const model = getString(metadata, "tokenizer.ggml.model", "none");
  switch (model) {
    case "gpt2": {
      const vocabulary = readVocabulary(metadata, { addBos: findPreTokenizer(metadata).addBos });
      return new VocabularyTokenizer(vocabulary, createByteLevelCodec(metadata, vocabulary));
    }
    case "llama": {
      const vocabulary = readVocabulary(metadata, { bosId: 1, eosId: 2, unknownId: 0, addBos: true });
      return new VocabularyTokenizer(vocabulary, createSentencePieceCodec(metadata, vocabulary));
    }
    default:
      throw tokenizerError("the tokenizer (tokenizer.ggml.model)", "gpt2 or llama", model);
  }
}

const noBytes = new Uint8Array(0);

class VocabularyTokenizer implements Tokenizer {
  readonly #vocabulary: Vocabulary;
  readonly #codec: PieceCodec;
  readonly #specialTokens;

  constructor(vocabulary: Vocabulary, codec: PieceCodec) {
    this.#vocabulary = vocabulary;
    this.#codec = codec;
    this.#specialTokens = createSpecialTokens(vocabulary);
  }

  get vocabSize(): number {
    return this.#vocabulary.tokens.length;
  }

  get bosId(): number | undefined {
    return this.#vocabulary.bosId;
  }

  get eosId(): number | undefined {
    return this.#vocabulary.eosId;
  }

  get endOfGenerationIds(): readonly number[] {
    return this.#vocabulary.endOfGenerationIds;
  }

  get addBos(): boolean {
    return this.#vocabulary.addBos;
  }

  get addEos(): boolean {
    return this.#vocabulary.addEos;
  }

  get fingerprint(): string {
    return this.#vocabulary.fingerprint;
  }

  get controlTexts(): readonly string[] {
    return this.#specialTokens.controlTexts;
  }

  encode(text: string, options: EncodeOptions = {}): Int32Array {
    if (typeof text !== "string") throw invalidArgument("the text to encode", "a string", text);
    const segments = this.#specialTokens.partition(text, options.special ?? false);
    const { bosId, addBos } = this.#vocabulary;
    const bos = (options.bos ?? addBos) && bosId !== undefined ? [bosId] : [];
    return this.encodeSegments([...bos, ...segments]);
  }

  encodeSegments(segments: readonly Segment[]): Int32Array {
    const pieces: (readonly number[])[] = [];
    let startsText = true;
    for (const segment of segments) {
      pieces.push(
        typeof segment === "number" ? [segment] : this.#codec.encode(wellFormed(segment), startsText),
      );
      startsText = typeof segment === "number";
    }
    return Int32Array.from(pieces.flat());
  }

  partition(text: string): readonly Segment[] {
    return this.#specialTokens.partition(text, true);
  }

  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    const decoder = this.createDecoder(options);
    const text = Array.from(ids, (id) => decoder.push(id)).join("") + decoder.flush();
    return this.#codec.addSpacePrefix && text.startsWith(" ") ? text.slice(1) : text;
  }

  createDecoder(options: DecodeOptions = {}): IncrementalDecoder {
    const special = options.special ?? false;
    return createIncrementalDecoder((id) => (this.isControl(id) && !special ? noBytes : this.tokenBytes(id)));
  }

  tokenBytes(id: number): Uint8Array {
    this.#requireId(id);
    return this.#codec.tokenBytes(id);
  }

  isControl(id: number): boolean {
    this.#requireId(id);
    return isHiddenType(this.#vocabulary.types[id]);
  }

  #requireId(id: number): void {
    if (!Number.isInteger(id) || id < 0 || id >= this.vocabSize) {
      throw invalidArgument("a token id", `an integer from 0 to ${String(this.vocabSize - 1)}`, id);
    }
  }
}

/** Lone surrogates cannot be written as UTF-8; they become U+FFFD, as everywhere in Node. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}
