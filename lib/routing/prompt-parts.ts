import type { RoutedPrompt } from "./complexity.js";
import { leansOnEarlier } from "./follow-up.js";
import { type PastedMaterial, separatePasted } from "./pasted-material.js";

/** What a classifier reads of a prompt: the asking, apart from what was pasted to work on. */
export interface PromptParts extends PastedMaterial {
  /** What is asked, in the user's words, at most {@link askLimit} characters. */
  readonly ask: string;
  /** Messages of user and assistant, the request included; 1 for a plain prompt. */
  readonly turns: number;
  readonly hasSystem: boolean;
  /** Characters of the request as a whole, what is not read included. */
  readonly totalChars: number;
}

/** Characters read from the start and from the end of a request; what lies between is only counted. */
const firstChars = 3000;
const lastChars = 1500;
/** Most characters of the asking itself that are read, half from its start and half from its end. */
const askLimit = 1600;

/** Start and end of a text; a long middle becomes a line break. */
function bounded(text: string, first: number, last: number): string {
  if (text.length <= first + last) return text;
  return `${text.slice(0, first)}\n${text.slice(text.length - last)}`;
}

function requestOf(prompt: RoutedPrompt): { text: string; earlier: string; turns: number; system: boolean } {
  if (typeof prompt === "string") return { text: prompt, earlier: "", turns: 1, system: false };
  const users = prompt.filter(({ role }) => role === "user");
  return {
    text: users.at(-1)?.content ?? prompt.at(-1)?.content ?? "",
    earlier: users.at(-2)?.content ?? "",
    turns: Math.max(1, prompt.filter(({ role }) => role !== "system").length),
    system: prompt.some(({ role }) => role === "system"),
  };
}

/** Takes a prompt apart. Work is bounded whatever its length. */
export function promptParts(prompt: RoutedPrompt): PromptParts {
  const { text, earlier, turns, system } = requestOf(prompt);
  const read = bounded(text, firstChars, lastChars);
  // "Now make it faster" asks as much as what it is about.
  const whole = leansOnEarlier(read) ? `${bounded(earlier, firstChars, 0)}\n${read}` : read;
  const { ask, ...pasted } = separatePasted(whole);
  return {
    ...pasted,
    ask: bounded(ask, askLimit / 2, askLimit / 2),
    turns,
    hasSystem: system,
    totalChars: text.length,
  };
}
