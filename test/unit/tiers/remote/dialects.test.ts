import { describe, expect, test } from "vitest";

import {
  answer,
  delta,
  done,
  event,
  finish,
  streamHead,
  type StubStep,
  usage,
} from "../../../support/openai-stub.js";
import { readAll, useStub } from "./tier-under-test.js";

const { stub, makeTier } = useStub();
const whole = "Hello, world";
const text = (content: string): StubStep => ({ send: content });

describe("an endpoint with ways of its own", () => {
  const plain = answer("Hello", ", ", "world");
  const bytes = Buffer.from(
    'data: {"choices":[{"delta":{"content":"a\u{1f600}\u00e9"},"finish_reason":"stop"}]}\n\n',
  );

  test.each<readonly [string, readonly StubStep[], string]>([
    ["no [DONE]", plain.filter((step) => step !== done), whole],
    ["no reason for the end", [streamHead, delta("x"), done, "end"], "x"],
    [
      "an end without an empty line",
      [streamHead, delta("x"), text('data: {"choices":[{"finish_reason":"stop"}]}'), "end"],
      "x",
    ],
    ["carriage returns", plain.map((step) => crlf(step)), whole],
    [
      "comments and empty events",
      [streamHead, text(": hi\n\n\n\nevent: x\nid: 1\n\n"), ...plain.slice(1)],
      whole,
    ],
    [
      "no space after the colon",
      [streamHead, text('data:{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'), "end"],
      "x",
    ],
    [
      "one byte at a time",
      [streamHead, ...Array.from(bytes, (byte) => ({ send: Uint8Array.of(byte) })), "end"],
      "a\u{1f600}\u00e9",
    ],
    [
      "halves of a character in two chunks",
      [streamHead, delta("x\ud83d"), delta("\ude00y"), finish(), "end"],
      "x\u{1f600}y",
    ],
    ["half a character at the end", [streamHead, delta("x\ud83d"), finish(), "end"], "x\ufffd"],
    ["everything in one piece", [streamHead, text(plain.map((step) => sent(step)).join("")), "end"], whole],
    [
      "other choices",
      [streamHead, event({ choices: [{ index: 1, delta: { content: "no" } }] }), ...plain.slice(1)],
      whole,
    ],
    ["text after the end", [streamHead, delta("x"), finish(), delta("no"), done, "end"], "x"],
    ["an error after the end", [streamHead, delta("x"), finish(), text("data: {\n\n"), "cut"], "x"],
    ["an open stream after the end", [streamHead, delta("x"), finish(), "hang"], "x"],
    ["an open stream after [DONE]", [streamHead, delta("x"), finish(), usage(1, 1), done, "hang"], "x"],
    [
      "token counts of no kind",
      [streamHead, delta("x"), event({ choices: [], usage: "many" }), finish(), "end"],
      "x",
    ],
    [
      "thoughts in a field of their own",
      [streamHead, event({ choices: [{ delta: { reasoning_content: "hm" } }] }), delta("x"), finish(), "end"],
      "x",
    ],
    ["an answer without text", [streamHead, finish(), done, "end"], ""],
    [
      "a line of 3 million characters",
      [streamHead, delta("x".repeat(3e6)), finish(), "end"],
      "x".repeat(3e6),
    ],
  ])("%s: read as it is meant", async (_, behaviour, expected) => {
    stub().script(behaviour);
    const { tier } = makeTier();
    const generation = tier.start("Hi");
    const { texts, error } = await readAll(generation);
    expect(error).toBeUndefined();
    expect(texts.join("")).toBe(expected);
    expect(texts.every((piece) => Buffer.from(piece).toString() === piece)).toBe(true);
    expect(await generation.result).toMatchObject({
      text: expected,
      finishReason: "stop",
      remote: { attempts: 1 },
    });
    expect(tier.stats()).toMatchObject({ finished: 1, breaker: { failures: 0 } });
  });

  test("a line that does not end is given up before it fills the memory", async () => {
    const piece = "x".repeat(2 ** 18);
    stub().always([streamHead, text("data: "), ...Array.from({ length: 64 }, () => text(piece)), "hang"]);
    const { tier } = makeTier();
    await expect(tier.start("Hi").result).rejects.toMatchObject({
      code: "AIR_ERR_REMOTE",
      message: expect.stringContaining("more than 4194304 characters"),
    });
    expect(stub().requests).toHaveLength(1);
  });

  test("an answer that does not end is given up", async () => {
    stub().always([streamHead, ...Array.from({ length: 6 }, () => delta("x".repeat(3e6))), "hang"]);
    const { tier } = makeTier();
    const { error } = await readAll(tier.start("Hi"));
    expect(error).toMatchObject({ code: "AIR_ERR_REMOTE", progress: { partialCharacters: 18e6 } });
  });
});

function sent(step: StubStep): string {
  return typeof step === "object" && "send" in step ? String(step.send) : "";
}

function crlf(step: StubStep): StubStep {
  return typeof step === "object" && "send" in step ? { send: sent(step).replaceAll("\n", "\r\n") } : step;
}
