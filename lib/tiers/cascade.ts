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

/** How answers begin that are none. Only the beginning counts: a story may say it later. */
const refusals =
  /^\W*(?:(?:i'?m|i am) (?:sorry|afraid|unable|not able|not sure)|sorry,|i (?:can'?t|cannot|could not|don'?t know|do not know|won'?t)|as an? (?:ai|language model|assistant)|unfortunately,? i)/i;

/** An ending is a loop when a piece of 1 to this many tokens fills the last `loopTokens`. */
const longestPiece = 16;
const loopTokens = 48;

/** Whether a text ends in a short piece that goes round and round. */
export function isLoop(tokens: readonly number[]): boolean {
  if (tokens.length < loopTokens) return false;
  const end = tokens.slice(-loopTokens);
  for (let length = 1; length <= longestPiece; length += 1) {
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
    if (this.#hasSchema || this.#tokens.length < this.#settings.holdTokens) return { kind: "undecided" };
    return this.#weigh();
  }

  /** The verdict on an answer that is over before it was handed out. */
  end(finishReason: FinishReason): Verdict {
    if (this.#hasSchema && finishReason === "length") return { kind: "rejected", reason: "schema" };
    if (this.#text.trim() === "") return { kind: "rejected", reason: "empty" };
    return this.#weigh();
  }

  #weigh(): Verdict {
    if (!this.#hasSchema && refusals.test(this.#text)) return { kind: "rejected", reason: "refusal" };
    if (this.meanLogprob < this.#settings.minLogprob) return { kind: "rejected", reason: "confidence" };
    return { kind: "accepted" };
  }
}
