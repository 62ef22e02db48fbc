import type { FastifyRequest } from "fastify";

import type { RoutedResult } from "../tiers/routed-reply.js";
import type { RoutedOptions } from "../tiers/runtime-types.js";
import type { TierInput } from "../tiers/tier.js";
import { toHttpFailure } from "./http-errors.js";
import { completionTokens } from "./reply-parts.js";
import type { AnswerRecord } from "./request-log.js";
import type { ServerContext } from "./server-context.js";
import type { SwitchedReply } from "./switched-reply.js";

/** What was asked of a tier. */
export interface Asked {
  readonly input: TierInput;
  readonly options: RoutedOptions;
}

interface Failure {
  readonly error: string;
}

/** Notes what comes of an answer, once it is known: in the figures, in the trace and in the request log. */
export function watchAnswer(
  context: ServerContext,
  httpRequest: FastifyRequest,
  asked: Asked,
  reply: SwitchedReply,
): void {
  const startedMs = performance.now();
  const span = context.traces.beginAnswer(httpRequest, asked.options);
  const note = (outcome: Failure | RoutedResult): void => {
    const common = {
      id: httpRequest.id,
      route: httpRequest.routeOptions.url ?? "",
      key: context.clientOf(httpRequest)?.name ?? null,
      ms: Math.round(performance.now() - startedMs),
    };
    const texts = { input: asked.input, output: "text" in outcome ? outcome.text : "" };
    context.requestLog?.add({ ...common, ...figuresOf(outcome) }, texts);
  };
  reply.result.then(
    (result) => {
      context.metrics.answered(result);
      span.answered(result);
      note(result);
    },
    (error: unknown) => {
      const { code } = toHttpFailure(error);
      span.failed(code);
      note({ error: code });
    },
  );
}

function figuresOf(outcome: Failure | RoutedResult): Omit<AnswerRecord, "id" | "route" | "key" | "ms"> {
  if (!("tokens" in outcome)) return { error: outcome.error };
  const { tier, decision, promptTokens, reusedTokens, finishReason, seed, timings } = outcome;
  return {
    ...{ tier, reason: decision.reason, promptTokens, reusedTokens, finishReason, seed },
    completionTokens: completionTokens(outcome),
    firstTokenMs: Math.round(timings.timeToFirstTokenMs),
  };
}
