import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Prompts of one kind of text, and what the trained target says to them in float32. */
export interface PromptDomain {
  readonly domain: string;
  readonly prompts: readonly {
    /** Of the text, after BOS. */
    readonly ids: readonly number[];
    /** With control tokens as text. */
    readonly text: string;
    readonly target_greedy: readonly number[];
  }[];
}

/** Held-out beginnings of prose, code and chat, 20 each. */
export const specPromptsFile = fileURLToPath(new URL("../prompts/spec-prompts.json", import.meta.url));

/** Reads a file like spec-prompts.json, the first `count` prompts of each domain. */
export function readPromptDomains(file: string, count: number): readonly PromptDomain[] {
  const domains = JSON.parse(readFileSync(file, "utf8")) as readonly PromptDomain[];
  return domains.map(({ domain, prompts }) => ({ domain, prompts: prompts.slice(0, count) }));
}
