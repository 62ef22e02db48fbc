import type { FinishReason, GeneratedChunk } from "../runtime/generation.js";

/** When an answer of a smaller tier is good enough. */
export interface CascadeSettings {
  /** Least mean log-probability of the answer's tokens, in nats, below which it is not trusted. */
  readonly minLogprob: number;
  /** Tokens after which an answer that is trusted so far is handed out; later ones cannot be taken back. */
  readonly holdTokens: number;
}

/** Why an answer was not good enough. */
export type EscalationReason = "confidence" | "schema" | "refusal" | "loop" | "empty";

export type Verdict =
  | { readonly kind: "undecided" | "accepted" }
  | { readonly kind: "rejected"; readonly reason: EscalationReason };

/** How answers begin that are none, with typewriter's apostrophes. Only the beginning counts: a story may say it later. */
const refusals =
  /^\W*(?:(?:i'?m|i am) (?:sorry|afraid|unable|not able|not sure)|sorry,|i (?:can'?t|cannot|could not|don'?t know|do not know|won'?t)|as an? (?:ai\b|language model|assistant)|unfortunately,? i\b)/i;

/** A loop is the same piece at least three times, over this many tokens; fewer are a list or a row of zeros. */
const loopTokens = { least: 24, most: 48 } as const;
const loopTurns = 3;

/**
 * Whether a text ends in a short piece that goes round and round.
 *
 * @param window - tokens at the end that the piece has to fill
 */
export function isLoop(tokens: readonly number[], window: number = loopTokens.most): boolean {
  if (window < loopTokens.least || tokens.length < window) return false;
  const end = tokens.slice(-window);
  for (let length = 1; length * loopTurns <= window; length += 1) {
    if (end.every((token, index) => index < length || token === end[index - length])) return true;
  }
  return false;
}

/** Reads an answer as it is written, and tells whether it can be trusted. */
export class AnswerJudge {
  readonly #settings: CascadeSettings;
  readonly #hasSchema: boolean;
  readonly #tokens: number[] = [];
  #text = "";
  #logprobs = 0;
  #measured = 0;

  /** @param hasSchema - the answer has to be a whole document: it is not handed out before it is */
  constructor(settings: CascadeSettings, hasSchema: boolean) {
    this.#settings = settings;
    this.#hasSchema = hasSchema;
  }

  /** Mean log-probability so far, in nats; 0 before the first token. */
  get meanLogprob(): number {
    return this.#measured === 0 ? 0 : this.#logprobs / this.#measured;
  }

  get tokenCount(): number {
    return this.#tokens.length;
  }

  /** Reads on. The chunk's tokens need logprobs to count. */
  read({ text, tokens, logprobs = [] }: GeneratedChunk): Verdict {
    this.#text += text;
    this.#tokens.push(...tokens);
    for (const { logprob } of logprobs) {
      this.#logprobs += logprob;
      this.#measured += 1;
    }
    if (isLoop(this.#tokens)) return { kind: "rejected", reason: "loop" };
    const { holdTokens } = this.#settings;
    const isBlank = this.#text.trim() === "";
    if (this.#hasSchema || isBlank || this.#tokens.length < holdTokens) return { kind: "undecided" };
    // A short hold has seen fewer turns of a loop.
    if (isLoop(this.#tokens, Math.min(holdTokens, loopTokens.most)))
      return { kind: "rejected", reason: "loop" };
    return this.#weigh();
  }

  /** The verdict on an answer that is over before it was handed out. */
  end(finishReason: FinishReason): Verdict {
    if (this.#hasSchema && finishReason === "length") return { kind: "rejected", reason: "schema" };
    if (this.#text.trim() === "") return { kind: "rejected", reason: "empty" };
    return this.#weigh();
  }

  #weigh(): Verdict {
    const text = this.#text.replaceAll("\u2019", "'");
    if (!this.#hasSchema && refusals.test(text)) return { kind: "rejected", reason: "refusal" };
    if (this.meanLogprob < this.#settings.minLogprob) return { kind: "rejected", reason: "confidence" };
    return { kind: "accepted" };
  }
}
