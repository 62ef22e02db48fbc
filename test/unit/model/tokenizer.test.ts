import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { readGguf } from "../../../lib/model/gguf.js";
import type { MetadataValue } from "../../../lib/model/metadata.js";
import { mergeByScore } from "../../../lib/model/score-merge.js";
import { createTokenizer } from "../../../lib/model/tokenizer.js";
import { corpusLines } from "../../golden/tokenizer/corpus.js";
import { airError, bundledModel } from "./gguf-bytes.js";
import { goldenMetadata } from "./golden-metadata.js";

const chat = createTokenizer((await readGguf(bundledModel("air-tiny-chat-q4_0.gguf"))).metadata);
const byteLevel = createTokenizer(goldenMetadata("bpe-llama-bpe"));
const pieces = createTokenizer(goldenMetadata("sentencepiece"));

describe("createTokenizer", () => {
  test("knows the bundled model's special tokens", () => {
    expect(chat).toMatchObject({ vocabSize: 4096, bosId: 4091, eosId: 4095, addBos: true, addEos: false });
    expect(chat.endOfGenerationIds).toEqual([4095]);
    expect([chat.isControl(4093), chat.isControl(4090)]).toEqual([true, false]);
  });

  test("gives the ids and text that the model was checked with", () => {
    const text = "What is 12 times 7?";
    expect([...chat.encode(text)]).toEqual([4091, 1773, 299, 1842, 1514, 1497, 30]);
    expect(chat.decode(chat.encode(text))).toBe(text);
  });

  test("takes a named end token for control whatever its type", () => {
    const [id] = byteLevel.encode("<|end|>", { special: true, bos: false });
    expect(byteLevel.isControl(id ?? -1)).toBe(true);
    expect(byteLevel.endOfGenerationIds).toContain(id);
  });

  test("assumes what a kind of tokenizer implies when the file does not say", () => {
    expect(pieces).toMatchObject({ bosId: 1, eosId: 2, addBos: true });
    expect(byteLevel.addBos).toBe(true);
    expect(createTokenizer(goldenMetadata("bpe-qwen2")).addBos).toBe(false);
    expect(
      createTokenizer(goldenMetadata("bpe-qwen2", { "tokenizer.ggml.add_bos_token": true })).addBos,
    ).toBe(true);
  });

  test("has equal fingerprints for equal vocabularies only", () => {
    expect(createTokenizer(goldenMetadata("bpe-llama-bpe")).fingerprint).toBe(byteLevel.fingerprint);
    expect(createTokenizer(goldenMetadata("bpe-qwen2")).fingerprint).not.toBe(byteLevel.fingerprint);
    expect(chat.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  });

  const withTokens = (tokens: readonly string[]) => ({
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.token_type": undefined,
    "tokenizer.ggml.bos_token_id": undefined,
    "tokenizer.ggml.eos_token_id": undefined,
  });

  test.each([
    [
      "no tokenizer",
      goldenMetadata("bpe-gpt-2", { "tokenizer.ggml.model": undefined }),
      "AIR_ERR_TOKENIZER",
      "none",
    ],
    [
      "an unknown kind",
      goldenMetadata("bpe-gpt-2", { "tokenizer.ggml.model": "bert" }),
      "AIR_ERR_TOKENIZER",
      "bert",
    ],
    [
      "an unknown pre",
      goldenMetadata("bpe-gpt-2", { "tokenizer.ggml.pre": "falcon" }),
      "AIR_ERR_TOKENIZER",
      "falcon",
    ],
    ["no tokens", goldenMetadata("bpe-gpt-2", withTokens([])), "AIR_ERR_TOKENIZER", "array of 0"],
    ["a token twice", goldenMetadata("bpe-gpt-2", withTokens(["a", "b", "a"])), "AIR_ERR_TOKENIZER", '"a"'],
    [
      "a merge that is no pair",
      goldenMetadata("bpe-gpt-2", { "tokenizer.ggml.merges": ["ab"] }),
      "AIR_ERR_TOKENIZER",
      '"ab"',
    ],
    [
      "too few types",
      goldenMetadata("bpe-gpt-2", { "tokenizer.ggml.token_type": [1] }),
      "AIR_ERR_TOKENIZER",
      "1",
    ],
    [
      "too few scores",
      goldenMetadata("sentencepiece", { "tokenizer.ggml.scores": [0] }),
      "AIR_ERR_TOKENIZER",
      "1",
    ],
    [
      "no merges",
      goldenMetadata("bpe-gpt-2", { "tokenizer.ggml.merges": undefined }),
      "AIR_ERR_MODEL_FORMAT",
      "tokenizer.ggml.merges",
    ],
    [
      "a special id outside the vocabulary",
      goldenMetadata("bpe-gpt-2", { "tokenizer.ggml.eos_token_id": 100_000 }),
      "AIR_ERR_MODEL_FORMAT",
      "eos_token_id",
    ],
  ])("refuses a file with %s", async (_, metadata, code, named) => {
    const error = await airError(() => createTokenizer(metadata));
    expect(error.code).toBe(code);
    expect(error.message).toContain(named);
  });
});

describe("encode", () => {
  test("treats control tokens in text as text unless asked", () => {
    const plain = chat.encode("a<|end|>b", { bos: false });
    expect([...plain].filter((id) => chat.isControl(id))).toEqual([]);
    expect(chat.decode(plain)).toBe("a<|end|>b");
    expect([...chat.encode("a<|end|>b", { bos: false, special: true })]).toEqual([64, 4095, 65]);
  });

  test("never forms a control token by merging plain text", () => {
    const tokens = ["<", "|", ">", "|>", "<|>"];
    const small = createTokenizer(
      new Map<string, MetadataValue>([
        ["tokenizer.ggml.model", "gpt2"],
        ["tokenizer.ggml.pre", "llama-bpe"],
        ["tokenizer.ggml.tokens", tokens],
        ["tokenizer.ggml.token_type", [1, 1, 1, 1, 3]],
        ["tokenizer.ggml.merges", ["| >", "< |>"]],
      ]),
    );
    expect([...small.encode("<|>")]).toEqual([0, 3]);
    expect([...small.encode("<|>", { special: true })]).toEqual([4]);

    const scored = createTokenizer(
      goldenMetadata("sentencepiece", {
        "tokenizer.ggml.tokens": [...tokens, "<0x0A>"],
        "tokenizer.ggml.token_type": [1, 1, 1, 1, 3, 6],
        "tokenizer.ggml.scores": [0, 0, 0, 0, 0, 0],
        "tokenizer.ggml.add_space_prefix": false,
      }),
    );
    expect([...scored.encode("<|>\n", { bos: false })]).toEqual([0, 3, 5]);
  });

  test("finds user-defined tokens always", () => {
    const ids = [...byteLevel.encode("x[INST]y", { bos: false })];
    expect(ids).toHaveLength(3);
    expect(byteLevel.isControl(ids[1] ?? -1)).toBe(false);
  });

  test("puts the first token where the model wants it, or as asked", () => {
    expect([...chat.encode("")]).toEqual([4091]);
    expect([...chat.encode("", { bos: false })]).toEqual([]);
  });

  test("puts a space before SentencePiece text only where text starts", () => {
    const hello = [...pieces.encode("engine", { bos: false })];
    expect([...pieces.encode("engine</s>engine", { bos: false, special: true })]).toEqual([
      ...hello,
      2,
      ...hello,
    ]);
    const bare = createTokenizer(goldenMetadata("sentencepiece-no-prefix"));
    expect([...bare.encode("engine", { bos: false })]).not.toEqual(hello);
  });

  test("refuses what is no text", async () => {
    const error = await airError(() => chat.encode(7 as unknown as string));
    expect(error.message).toBe("expected a string for the text to encode but received 7");
  });

  test.each([
    ["a letter", "a".repeat(50_000)],
    ["a pair of letters", "ab1".repeat(16_000)],
    ["a space", " ".repeat(50_000)],
    ["a line break", "\n".repeat(50_000)],
    ["punctuation", "=".repeat(50_000)],
    ["a CJK character", "\u4e2d".repeat(16_000)],
  ])("takes 50 KB of %s repeated without quadratic cost", (_, text) => {
    for (const tokenizer of [byteLevel, pieces]) {
      const start = performance.now();
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      // Measured 10 to 600 ms; quadratic merging takes minutes.
      expect(performance.now() - start).toBeLessThan(10_000);
    }
  });
});

describe("decode", () => {
  test.each([
    ["the bundled model", chat],
    ["byte-level BPE", byteLevel],
  ])("returns the corpus's text for %s", (_, tokenizer) => {
    for (const line of corpusLines()) expect(tokenizer.decode(tokenizer.encode(line))).toBe(line);
  });

  test("returns the corpus's text for SentencePiece, whose space letter becomes a space", () => {
    // Text that follows a user-defined token gets a space in front, which cannot be told from one of its own.
    for (const line of corpusLines().filter((text) => !text.includes("[INST]"))) {
      expect(pieces.decode(pieces.encode(line))).toBe(line.replaceAll("\u2581", " "));
    }
  });

  test("returns random text for byte-level BPE", () => {
    let state = 5;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const planes = [0x80, 0x250, 0x800, 0xd800, 0x1f700];
    for (let i = 0; i < 300; i++) {
      const codes = Array.from({ length: random(40) }, () => random(planes[random(planes.length)] ?? 1));
      const text = String.fromCodePoint(...codes);
      expect(chat.decode(chat.encode(text)), JSON.stringify(text)).toBe(Buffer.from(text).toString());
    }
  });

  test("replaces lone surrogates, which have no UTF-8", () => {
    expect(chat.decode(chat.encode("a\ud800b"))).toBe("a\ufffdb");
  });

  test("shows control tokens only when asked", () => {
    expect(chat.decode([4091, 64, 4095])).toBe("a");
    expect(chat.decode([4091, 64, 4095], { special: true })).toBe("<|bos|>a<|end|>");
  });

  test.each([-1, 4096, 1.5, Number.NaN])("refuses %d as a token id", async (id) => {
    expect((await airError(() => chat.decode([id]))).code).toBe("AIR_ERR_ARGUMENT");
  });

  test("gives the bytes of byte tokens", () => {
    const [, newline] = pieces.encode("a\n", { bos: false }).slice(-2);
    expect([...pieces.tokenBytes(newline ?? -1)]).toEqual([10]);
  });
});

describe("mergeByScore", () => {
  const ids = new Map(["a", "b", "ab", "ba", "aba", "abab"].map((text, id) => [text, id]));

  test("merges the highest score first", () => {
    expect(mergeByScore("aba", ids, Float32Array.of(0, 0, -2, -1, -9, -9))).toEqual(["aba"]);
    expect(mergeByScore("abb", ids, Float32Array.of(0, 0, -2, -1, 0, 0))).toEqual(["ab", "b"]);
    expect(mergeByScore("bab", ids, Float32Array.of(0, 0, -2, -1, 0, 0))).toEqual(["ba", "b"]);
  });

  test("merges the leftmost of equal scores", () => {
    expect(mergeByScore("bab", ids, new Float32Array(6))).toEqual(["ba", "b"]);
    expect(mergeByScore("abab", ids, new Float32Array(6))).toEqual(["abab"]);
  });

  test("leaves characters that are no token, and takes empty text", () => {
    expect(mergeByScore("\u{1f680}ab", ids, new Float32Array(6))).toEqual(["\u{1f680}", "ab"]);
    expect(mergeByScore("", ids, new Float32Array(6))).toEqual([]);
  });
});

test("the corpus is made of ASCII source", () => {
  const source = readFileSync(new URL("../../golden/tokenizer/corpus.ts", import.meta.url), "latin1");
  expect(source).toMatch(/^[\t\n -~]*$/);
});
