import { describe, expect, test } from "vitest";

import { readAsking } from "../../../lib/routing/asking.js";
import { bucketOf, hashStart, hashWord } from "../../../lib/routing/hashing.js";
import { ngramBuckets, ngramKinds, ngramTexts, ngramVector } from "../../../lib/routing/ngram-features.js";
import { promptFeatures } from "../../../lib/routing/prompt-features.js";
import { readableNames } from "../../../lib/routing/readable-features.js";

const text = "Could you write 2 haikus? I like the sea, the sea in 1998.";

describe("hashing", () => {
  test("is FNV-1a before the last mix: the value is part of the file format", () => {
    // FNV-1a of "a" is 0xe40c292c; a namespace is one code unit before it.
    expect(hashWord(0x811c9dc5 | 0, "a") >>> 0).toBe(0xe40c292c);
    expect(hashStart(1)).not.toBe(hashStart(2));
  });

  test("spreads texts over buckets", () => {
    const buckets = new Set(
      Array.from({ length: 4096 }, (_, i) => bucketOf(hashWord(hashStart(1), `w${i}`), 4096)),
    );
    // Of as many balls as bins 1 - 1/e are hit: 2589 of 4096.
    expect(buckets.size).toBeGreaterThan(2450);
    expect(buckets.size).toBeLessThan(2730);
  });
});

describe("ngramVector", () => {
  test.each(ngramKinds)(
    "of %s has the length of its kind, no bucket twice, and texts for all of its buckets",
    (kind) => {
      const { buckets, values } = ngramVector(kind, readAsking(text));
      expect(new Set(buckets).size).toBe(buckets.length);
      expect(buckets.every((bucket) => bucket >= 0 && bucket < ngramBuckets)).toBe(true);
      expect(values.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(
        kind === "heads" ? 0.36 : 1,
        5,
      );
      const texts = ngramTexts(kind, readAsking(text));
      expect([...texts.keys()].sort((a, b) => a - b)).toEqual([...buckets].sort((a, b) => a - b));
    },
  );

  test("counts words and pairs of them, with numbers alike and sentences apart", () => {
    const texts = [...ngramTexts("words", readAsking(text)).values()];
    expect(texts).toEqual(expect.arrayContaining(["haikus", "^ could", "write 0", "the sea", "^ i"]));
    expect(texts).not.toContain("haikus i");
    expect([...ngramTexts("focus", readAsking(text)).values()]).not.toContain("the sea");
  });

  test("counts three to five characters across words", () => {
    const texts = [...ngramTexts("characters", readAsking("Ab 19")).values()];
    expect(new Set(texts)).toEqual(
      new Set([" ab", "ab ", "b 0", " 00", "00 ", " ab ", "ab 0", "b 00", " 00 ", " ab 0", "ab 00", "b 00 "]),
    );
  });

  test("is sublinear in how often an n-gram occurs", () => {
    const { buckets, values } = ngramVector("words", readAsking("la la la la oh"));
    const at = (word: string) =>
      values[buckets.indexOf(bucketOf(hashWord(hashStart(1), word), ngramBuckets))] ?? 0;
    expect(at("la") / at("oh")).toBeCloseTo(1 + Math.log(4), 5);
  });
});

describe("promptFeatures", () => {
  test("has a finite value for every readable feature, whatever the prompt", () => {
    for (const prompt of [
      "",
      "?",
      "\u0000",
      "a".repeat(100_000),
      "\n".repeat(1000),
      "\u{1f600}\ud800",
      text,
    ]) {
      const { readable } = promptFeatures(prompt);
      expect(readable).toHaveLength(readableNames.length);
      expect(readable.every(Number.isFinite)).toBe(true);
    }
  });

  test("is the same each time", () => {
    expect(promptFeatures(text)).toEqual(promptFeatures(text));
  });
});
