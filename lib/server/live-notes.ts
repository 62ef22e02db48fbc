import type { RouteDecision } from "../routing/decision.js";
import type { GeneratedChunk } from "../runtime/generation.js";

/** The field `air` of a chunk, while the answer is on its way. */
export interface LiveNote {
  /** With the first chunk: who answers, and why. */
  readonly tier?: string;
  readonly score?: number;
  readonly confidence?: number;
  readonly reason?: string;
  readonly detail?: string;
  /** For each token since the last note whether it was guessed ahead and accepted. Remote tiers hand out no tokens. */
  readonly drafted: readonly boolean[];
}

/** What a stream says of one answer besides its text, where the request asks for it with `air: {"live": true}`. */
export class LiveNotes {
  #drafted: boolean[] = [];
  #hasDecision = false;

  /** Takes a chunk in, whose text may be held back. */
  add({ tokens, drafted }: GeneratedChunk): void {
    this.#drafted.push(...(drafted ?? tokens.map(() => false)));
  }

  /** What was not said yet; undefined when that is nothing. */
  take(decision: RouteDecision | undefined): LiveNote | undefined {
    const isFirst = !this.#hasDecision && decision !== undefined;
    if (!isFirst && this.#drafted.length === 0) return undefined;
    const drafted = this.#drafted.splice(0);
    if (!isFirst) return { drafted };
    this.#hasDecision = true;
    const { name, score, confidence, reason, detail } = decision;
    return { tier: name, score, confidence, reason, detail, drafted };
  }
}
