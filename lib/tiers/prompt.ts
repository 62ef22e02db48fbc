import { messagesSchema } from "../runtime/options.js";
import { parseOptions } from "../util/options.js";
import type { TierInput } from "./tier.js";

/** Characters per token, about, of a prompt that no tokenizer has seen yet. */
const charactersPerToken = 3.5;
/** Characters of a chat template around a message, about. */
const charactersPerMessage = 16;

/** About how many tokens a prompt has. */
export function estimateTokens(input: TierInput): number {
  const characters =
    typeof input === "string"
      ? input.length
      : input.reduce((sum, { content }) => sum + content.length + charactersPerMessage, 0);
  return Math.max(1, Math.ceil(characters / charactersPerToken));
}

/**
 * Checks what a caller without types may get wrong before anything reads the prompt.
 *
 * @throws {AirArgumentError} AIR_ERR_ARGUMENT for what is neither text nor messages
 */
export function assertPrompt(input: unknown): void {
  if (typeof input !== "string") parseOptions(messagesSchema, { messages: input }, "the prompt");
}
