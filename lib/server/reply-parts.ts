import type { Tokenizer } from "../model/tokenizer.js";
import type { GeneratedChunk } from "../runtime/generation.js";
import type { RoutedResult } from "../tiers/routed-reply.js";

/** A token's log-probability, and the likeliest ones in its place. */
export type Logprobs = NonNullable<GeneratedChunk["logprobs"]>[number];
type TokenLogprob = Logprobs["top"][number];

/** JSON has no infinity; this is what the API of OpenAI says in its place. */
const leastLogprob = -9999;

/** Counts of tokens, in the form of the API. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

/** Tokens of an answer; a remote tier counts them itself, and hands none out. */
export function completionTokens(result: RoutedResult): number {
  const { remote } = result as { readonly remote?: { readonly completionTokens?: number } };
  return remote?.completionTokens ?? result.tokens.length;
}

/** The counts of a request: each prompt once, however many answers it has. */
export function usageOf(results: readonly RoutedResult[], choicesPerPrompt: number): Usage {
  const prompts = results.filter((_, index) => index % choicesPerPrompt === 0);
  const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
  const prompt = sum(prompts.map(({ promptTokens }) => promptTokens));
  const completion = sum(results.map(completionTokens));
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: sum(prompts.map(({ reusedTokens }) => reusedTokens)) },
  };
}

/** The field `air` of an answer: who answered, why, and how fast. */
export function airReport(result: RoutedResult): object {
  const { tier, decision, attempts, timings, speculative, seed, promptTokens, reusedTokens } = result;
  return {
    tier,
    score: decision.score,
    confidence: decision.confidence,
    reason: decision.reason,
    detail: decision.detail,
    attempts,
    seed,
    cache: { prompt_tokens: promptTokens, reused_tokens: reusedTokens },
    timings: {
      time_to_first_token_ms: timings.timeToFirstTokenMs,
      prefill_tokens_per_second: timings.prefillTokensPerSecond,
      decode_tokens_per_second: timings.decodeTokensPerSecond,
    },
    ...(speculative !== undefined && {
      speculative: {
        proposer: speculative.proposer,
        drafted: speculative.drafted,
        accepted: speculative.accepted,
        acceptance_rate: speculative.acceptanceRate,
        mean_acceptance_length: speculative.meanAcceptanceLength,
        ...(speculative.estimatedSpeedup !== undefined && {
          estimated_speedup: speculative.estimatedSpeedup,
        }),
      },
    }),
  };
}

function logprobEntry({ token, logprob }: TokenLogprob, tokenizer: Tokenizer) {
  const bytes = Buffer.from(tokenizer.tokenBytes(token));
  return { token: bytes.toString(), logprob: Math.max(leastLogprob, logprob), bytes: [...bytes] };
}

/** Log-probabilities of a chat completion. */
export function chatLogprobs(logprobs: readonly Logprobs[], tokenizer: Tokenizer): object {
  const content = logprobs.map((entry) => ({
    ...logprobEntry(entry, tokenizer),
    top_logprobs: entry.top.map((other) => logprobEntry(other, tokenizer)),
  }));
  return { content, refusal: null };
}

/** Log-probabilities of a text completion; `offset` is where its text begins. */
export function completionLogprobs(
  logprobs: readonly Logprobs[],
  tokenizer: Tokenizer,
  offset: number,
): object {
  const entries = logprobs.map((entry) => logprobEntry(entry, tokenizer));
  let position = offset;
  const offsets = entries.map(({ token }) => {
    position += token.length;
    return position - token.length;
  });
  return {
    tokens: entries.map(({ token }) => token),
    token_logprobs: entries.map(({ logprob }) => logprob),
    top_logprobs: logprobs.map(({ top }) =>
      Object.fromEntries(
        top.map((other) => {
          const { token, logprob } = logprobEntry(other, tokenizer);
          return [token, logprob] as const;
        }),
      ),
    ),
    text_offset: offsets,
  };
}
