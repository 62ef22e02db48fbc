import { describe, expect, test } from "vitest";

import { leansOnEarlier } from "../../../lib/routing/follow-up.js";
import { separatePasted } from "../../../lib/routing/pasted-material.js";
import { promptParts } from "../../../lib/routing/prompt-parts.js";

describe("separatePasted", () => {
  test("takes fenced code out of the asking and counts it", () => {
    const parts = separatePasted("What language is this?\n```\nfn main() {}\nlet prove = 1;\n```\nOne word.");
    expect(parts.ask).toContain("What language is this?");
    expect(parts.ask).toContain("One word.");
    expect(parts.ask).not.toContain("fn main");
    expect(parts).toMatchObject({ fences: 1, codeLines: 2 });
  });

  test("tells logs and tables from prose without fences", () => {
    const log = separatePasted(
      "why?\n2024-05-02T03:12:07Z INFO worker-3 picked\n    at com.example.Main(Main.java:3)",
    );
    expect(log.ask.trim()).toBe("why?");
    expect(log.logLines).toBe(2);
    const table = separatePasted("sum this\n| a | b |\n| 1 | 2 |\nname,age,city,zip\nAnn,3,Oslo,0150");
    expect(table.ask.trim()).toBe("sum this");
    expect(table.dataLines).toBe(4);
  });

  test("keeps an announced passage out, and what asks after it in", () => {
    const passage =
      "The council met on Tuesday. It discussed the design of a new consensus about traffic policy.";
    const { ask, pastedChars } = separatePasted(`Here is a text: ${passage}\n\nWhat day was it?`);
    expect(ask).toContain("What day was it?");
    expect(ask).not.toContain("consensus");
    expect(pastedChars).toBeGreaterThan(passage.length - 5);
  });

  test("keeps a problem that is described", () => {
    const problem = "Our queue loses items on ARM: under load two consumers see the same head. Why?";
    expect(separatePasted(problem)).toMatchObject({ ask: problem, pastedChars: 0 });
  });

  test("replaces quoted phrases but not quoted names", () => {
    const { ask } = separatePasted('Translate "the train leaves at noon" and say what "recompile" means');
    expect(ask).not.toContain("train");
    expect(ask).toContain("recompile");
  });

  test("reads what looks pasted as a whole as the asking", () => {
    expect(separatePasted("```\nSELECT 1;\n```").ask).toContain("SELECT");
    expect(separatePasted("").ask).toBe("");
  });
});

describe("leansOnEarlier", () => {
  test.each(["why?", "now make it faster", "Continue", "and in French?", "can you make that shorter"])(
    "is true of %j",
    (text) => {
      expect(leansOnEarlier(text)).toBe(true);
    },
  );

  test.each(["thanks, that was it", "What is the capital of Peru?", "Prove Fermat's last theorem", "ok"])(
    "is false of %j",
    (text) => {
      expect(leansOnEarlier(text)).toBe(false);
    },
  );
});

describe("promptParts", () => {
  test("reads the last user message, and counts turns without system messages", () => {
    const parts = promptParts([
      { role: "system", content: "You are terse." },
      { role: "user", content: "Design a database." },
      { role: "assistant", content: "Done." },
      { role: "user", content: "What is the capital of Peru?" },
    ]);
    expect(parts).toMatchObject({ ask: "What is the capital of Peru?", turns: 3, hasSystem: true });
  });

  test("adds the message before to one that leans on it", () => {
    const { ask } = promptParts([
      { role: "user", content: "Design a database." },
      { role: "assistant", content: "Done." },
      { role: "user", content: "why?" },
    ]);
    expect(ask).toBe("Design a database.\nwhy?");
  });

  test("reads a bounded part of a long prompt: its start and its end", () => {
    const { ask, totalChars } = promptParts(`Begin here ${"lorem ipsum ".repeat(100_000)} what is the end?`);
    expect(ask.length).toBeLessThan(1700);
    expect(ask).toMatch(/^Begin here/);
    expect(ask).toMatch(/what is the end\?$/);
    expect(totalChars).toBeGreaterThan(1_000_000);
  });

  test("takes conversations without user messages and empty prompts", () => {
    expect(promptParts([{ role: "system", content: "Be nice" }]).ask).toBe("Be nice");
    expect(promptParts([])).toMatchObject({ ask: "", turns: 1 });
    expect(promptParts("").ask).toBe("");
  });
});
