import type { MetadataValue } from "../../../lib/model/metadata.js";
import { readGguf } from "../../../lib/model/gguf.js";
import { createTokenizer, type Tokenizer } from "../../../lib/model/tokenizer.js";
import { byteLetters } from "../../golden/tokenizer/vocabularies.js";
import { bundledModel } from "../model/gguf-bytes.js";
import { goldenMetadata } from "../model/golden-metadata.js";

/** The bundled model's vocabulary, byte-level BPE with 4096 tokens. */
export const chat = createTokenizer((await readGguf(bundledModel("air-tiny-chat-q4_0.gguf"))).metadata);

/** One of each kind; SentencePiece has byte tokens beside pieces of the same text. */
export const vocabularies: readonly (readonly [string, Tokenizer])[] = [
  ["the bundled model's", chat],
  ["a byte-level", createTokenizer(goldenMetadata("bpe-llama-bpe"))],
  ["a SentencePiece", createTokenizer(goldenMetadata("sentencepiece"))],
];

/** Byte-level tokens: all bytes but some, then these texts (a space is a space), then the end. */
export function smallTokenizer(texts: readonly string[], without: readonly number[] = []): Tokenizer {
  const letters = byteLetters();
  const spelled = texts.map((text) => Array.from(Buffer.from(text), (byte) => letters[byte] ?? "").join(""));
  const tokens = [...letters.filter((_, byte) => !without.includes(byte)), ...spelled, "<|im_end|>"];
  return createTokenizer(
    new Map<string, MetadataValue>([
      ["tokenizer.ggml.model", "gpt2"],
      ["tokenizer.ggml.pre", "gpt-2"],
      ["tokenizer.ggml.tokens", tokens],
      ["tokenizer.ggml.merges", []],
    ]),
  );
}
