import { messagesSchema } from "../runtime/options.js";
import { parseOptions } from "../util/options.js";
import type { TierInput } from "./tier.js";

/** Characters per token, about, of a prompt that no tokenizer has seen yet. */
const charactersPerToken = 3.5;
/** The same of a text in long words, which few prompts have throughout. */
const mostCharactersPerToken = 7;
/** Characters of a chat template around a message, about. */
const charactersPerMessage = 16;

function charactersOf(input: TierInput): number {
  if (typeof input === "string") return input.length;
  return input.reduce((sum, { content }) => sum + content.length + charactersPerMessage, 0);
}

/** About how many tokens a prompt has. */
export function estimateTokens(input: TierInput): number {
  return Math.max(1, Math.ceil(charactersOf(input) / charactersPerToken));
}

/** How many tokens a prompt has if it is in luck; more is not to be hoped for. */
export function fewestTokens(input: TierInput): number {
  return Math.max(1, Math.ceil(charactersOf(input) / mostCharactersPerToken));
}

/**
 * Checks what a caller without types may get wrong before anything reads the prompt.
 *
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT for what is neither text nor messages
 */
export function assertPrompt(input: unknown): void {
  if (typeof input !== "string") parseOptions(messagesSchema, { messages: input }, "the prompt");
}
