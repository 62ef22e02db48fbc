import type { Batch, NativeRunner } from "../native/native.js";
import type { GrantedShare } from "./page-reservation.js";
import type { GreedyRequest } from "./run.js";

/** What the shares of a drafting step drafted, in their order. */
export interface DraftStep {
  readonly drafts: readonly { readonly tokens: readonly number[]; readonly confidence: readonly number[] }[];
  readonly computeMicros: number;
}

/** Runs a drafting step of shares that hold their texts' last tokens; each drafts as far as its pages go. */
export async function runDraftStep(
  runner: NativeRunner,
  batch: Batch,
  shares: readonly GrantedShare[],
  requests: readonly GreedyRequest[],
): Promise<DraftStep> {
  const counts = Int32Array.from(shares, ({ spareTokens }) => spareTokens + 1);
  const minConfidence = Math.min(...requests.map((request) => request.minConfidence));
  const result = await runner.propose(batch, { counts, minConfidence });
  const width = Math.max(...counts);
  const drafts = shares.map((_, order) => {
    const start = order * width;
    const padded = result.tokens.subarray(start, start + width);
    const end = padded.includes(-1) ? padded.indexOf(-1) : width;
    return {
      tokens: Array.from(padded.subarray(0, end)),
      confidence: Array.from(result.confidence.subarray(start, start + end)),
    };
  });
  return { drafts, computeMicros: result.computeMicros };
}
