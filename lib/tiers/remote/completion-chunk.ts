import { z } from "zod";

/** A token of an answer with its log-probability (natural), as an endpoint reports it: by its text. */
export interface RemoteTokenLogprob {
  readonly token: string;
  readonly logprob: number;
}

/** A chosen token, and the likeliest ones in its place. */
export interface RemoteLogprobs extends RemoteTokenLogprob {
  readonly top: readonly RemoteTokenLogprob[];
}

const logprobSchema = z.object({ token: z.string(), logprob: z.number() });
const partSchema = z.object({ content: z.string().nullish() }).nullish();

/**
 * A chunk of a streamed completion, or a whole completion: what is read of it. An endpoint may leave out what it does not
 * know, and add what it likes; what is there must be of the right kind, except for what only statistics are made of.
 */
const chunkSchema = z.object({
  model: z.string().nullish().catch(undefined),
  choices: z
    .array(
      z.object({
        index: z.number().nullish(),
        delta: partSchema,
        message: partSchema,
        finish_reason: z.string().nullish(),
        logprobs: z
          .object({
            content: z
              .array(logprobSchema.extend({ top_logprobs: z.array(logprobSchema).default([]) }))
              .nullish(),
          })
          .nullish()
          .catch(undefined),
      }),
    )
    .nullish(),
  usage: z
    .object({
      prompt_tokens: z.int().min(0),
      completion_tokens: z.int().min(0).default(0),
      prompt_tokens_details: z
        .object({ cached_tokens: z.int().min(0).nullish() })
        .nullish()
        .catch(undefined),
    })
    .nullish()
    .catch(undefined),
  error: z.unknown().optional(),
});

/** Token counts of a request. */
export interface CompletionUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Prompt tokens that the endpoint had computed before. */
  readonly cachedTokens: number;
}

/** What one event, or a whole answer, says. */
export interface CompletionChunk {
  readonly text: string;
  readonly hasChoice: boolean;
  readonly model?: string;
  /** In the endpoint's own word. */
  readonly finishReason?: string;
  readonly logprobs?: readonly RemoteLogprobs[];
  readonly usage?: CompletionUsage;
  /** The endpoint reports an error in place of an answer. */
  readonly isError: boolean;
}

/** Reads an event's data, or a whole answer; undefined when it is no JSON, or not of this kind. */
export function parseCompletion(data: string): CompletionChunk | undefined {
  let json: unknown;
  try {
    json = JSON.parse(data);
  } catch {
    return undefined;
  }
  const parsed = chunkSchema.safeParse(json);
  if (!parsed.success) return undefined;
  const { choices, error } = parsed.data;
  const model = parsed.data.model ?? undefined;
  const usage = parsed.data.usage ?? undefined;
  // One answer is asked for; others are none of ours.
  const choice = choices?.find(({ index }) => (index ?? 0) === 0);
  const finishReason = choice?.finish_reason ?? undefined;
  const logprobs = choice?.logprobs?.content?.map(({ token, logprob, top_logprobs: top }) => ({
    token,
    logprob,
    top,
  }));
  return {
    text: (choice?.delta ?? choice?.message)?.content ?? "",
    hasChoice: choice !== undefined,
    isError: error !== undefined && error !== null,
    ...(model !== undefined && { model: model.slice(0, 200) }),
    ...(finishReason !== undefined && { finishReason: finishReason.slice(0, 40) }),
    ...(logprobs !== undefined && { logprobs }),
    ...(usage !== undefined && {
      usage: {
        promptTokens: usage.prompt_tokens,
        completionTokens: usage.completion_tokens,
        cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
      },
    }),
  };
}

/**
 * Whether the model that answered is another one than was asked for. A release named by its date (`model-2024-08-06`,
 * `model-0613`) or a fuller path (`owner/model`) is the same model.
 */
export function isOtherModel(asked: string, answered: string): boolean {
  const bare = (name: string): string => name.toLowerCase().replace(/^.*\//, "");
  const [wanted, got] = [bare(asked), bare(answered)];
  if (got === wanted) return false;
  const suffix = got.startsWith(wanted) ? got.slice(wanted.length) : undefined;
  return suffix === undefined || !/^[-@:](\d{4}|\d{8}|\d{4}-\d{2}-\d{2})$/.test(suffix);
}
