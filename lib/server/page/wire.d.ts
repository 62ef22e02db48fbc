/** What the server sends, as far as the page reads it. */
export type { LiveMachine, LivePages, LiveReport, LiveTier } from "../live-report.js";

/** The field `air` of a chunk: the first has the decision, each what is new of its tokens, the last one the rest. */
export interface AirNote {
  readonly tier?: string;
  readonly score?: number;
  readonly reason?: string;
  readonly detail?: string;
  readonly drafted?: readonly boolean[];
  readonly seed?: number;
  readonly attempts?: readonly { readonly tier: string; readonly outcome: string; readonly reason: string }[];
  readonly cache?: { readonly prompt_tokens: number; readonly reused_tokens: number };
  readonly timings?: { readonly time_to_first_token_ms: number; readonly decode_tokens_per_second: number };
  readonly speculative?: {
    readonly proposer: string;
    readonly drafted: number;
    readonly accepted: number;
    readonly mean_acceptance_length: number;
  };
}

/** A chunk of an answer. */
export interface Chunk {
  readonly choices: readonly {
    readonly delta: { readonly content?: string };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: { readonly completion_tokens: number } | null;
  readonly air?: AirNote;
}
