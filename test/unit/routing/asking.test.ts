import { describe, expect, test } from "vitest";

import { readAsking } from "../../../lib/routing/asking.js";
import { cueNames, cuesOf, cuesOfWord } from "../../../lib/routing/cue-words.js";
import { headNames, headOf } from "../../../lib/routing/request-heads.js";
import { withoutPastedProse } from "../../../lib/routing/simple-requests.js";

function headNameOf(text: string): string | undefined {
  return headNames[headOf(text.toLowerCase().match(/[\w']+/g) ?? [], false).kind];
}

describe("headOf", () => {
  test.each([
    ["turn on the kitchen lights", "verb device"],
    ["Could you please just translate this", "verb transform"],
    ["hey, I need you to write a parser", "verb create"],
    ["help me design a rate limiter", "verb hard"],
    ["Prove that it halts", "verb hard"],
    ["How many grams are in a cup", "question count"],
    ["why is the sky blue", "question why"],
    ["who painted Guernica", "question fact"],
    ["is a tomato a fruit", "question yes or no"],
    ["should we move to Kafka", "question should"],
    ["grams in a cup of flour", "none"],
  ])("of %j is %s", (text, name) => {
    expect(headNameOf(text)).toBe(name);
  });

  test("names the word and what it is about", () => {
    expect(headOf(["please", "write", "me", "a", "haiku"], false)).toMatchObject({
      word: "write",
      next: "haiku",
    });
  });
});

describe("cue words", () => {
  test("stand for their forms", () => {
    expect(cuesOfWord("proving")).toEqual(cuesOfWord("prove"));
    expect(cuesOfWord("strategies")).toEqual(cuesOfWord("strategy"));
    expect(cuesOfWord("migrated")).toEqual(cuesOfWord("migrate"));
    expect(cuesOfWord("strategy")).not.toEqual([]);
    expect(cuesOfWord("banana")).toEqual([]);
  });

  test("are found as phrases, in the plural too", () => {
    const countOf = (text: string, name: string) =>
      cuesOf(text.split(" ")).filter((cue) => cue === cueNames.indexOf(name)).length;
    expect(countOf("weigh the trade offs", "decision term")).toBe(2);
    expect(countOf("loses data under load", "symptom")).toBe(1);
    expect(countOf("under the load", "symptom")).toBe(0);
  });
});

describe("readAsking", () => {
  test("tells what asks from what surrounds it", () => {
    const asking = readAsking("I have had a long day. My head is empty. How many ms are 3.5 seconds?");
    expect(asking.sentences).toHaveLength(3);
    expect(asking.focus.map(({ text }) => text)).toEqual(["How many ms are 3.5 seconds?"]);
    expect(asking.focusWords).toEqual(["how", "many", "ms", "are", "3", "5", "seconds"]);
  });

  test("focuses on everything where nothing asks", () => {
    const asking = readAsking("grams in a cup. of flour");
    expect(asking.focus).toEqual(asking.sentences);
  });

  test("reads a bounded number of sentences", () => {
    expect(readAsking("a?\n".repeat(5000)).sentences.length).toBeLessThan(200);
  });
});

describe("withoutPastedProse", () => {
  const without = (text: string) => withoutPastedProse(text, readAsking(text)).words.join(" ");

  test("leaves a recipe out of a question about it", () => {
    const recipe = "Beat the butter with the sugar until it is pale. Fold in the flour and bake for an hour.";
    expect(without(`${recipe}\n\nDoes this contain nuts?`)).toBe("does this contain nuts");
  });

  test("keeps the facts of a calculation and the clues of a fault", () => {
    const tank =
      "A tank fills at 12 litres a minute and leaks 3 litres a minute all day long. How long until it is full?";
    expect(without(tank)).toContain("leaks");
    const fault =
      "The replica falls behind under load, latency doubled after the upgrade and writes stall randomly on one " +
      "shard. What is it?";
    expect(without(fault)).toContain("replica");
  });
});
