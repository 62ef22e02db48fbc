import {
  type Attributes,
  context as activeContext,
  type Context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import type { FastifyReply, FastifyRequest } from "fastify";

import type { RoutedResult } from "../tiers/routed-reply.js";
import type { RoutedOptions } from "../tiers/runtime-types.js";
import { completionTokens } from "./reply-parts.js";

/** An answer's span. */
export interface AnswerSpan {
  answered(result: RoutedResult): void;
  /** @param code - of the error, as clients are told it */
  failed(code: string): void;
}

/**
 * Spans of requests and of the answers within them, for whatever OpenTelemetry provider the program has registered;
 * without one they cost next to nothing. Names of attributes are those of the conventions for HTTP and generative AI;
 * no span has anything of a prompt or an answer.
 */
export class Traces {
  readonly #requests = new WeakMap<FastifyRequest, { readonly span: Span; readonly context: Context }>();

  /** Begins the span of a request, as a child of what its `traceparent` names. */
  beginRequest(request: FastifyRequest, route: string): void {
    const parent = propagation.extract(activeContext.active(), request.headers);
    const span = tracer().startSpan(
      `${request.method} ${route}`,
      {
        kind: SpanKind.SERVER,
        attributes: { "http.request.method": request.method, "http.route": route },
      },
      parent,
    );
    this.#requests.set(request, { span, context: trace.setSpan(parent, span) });
  }

  /** Ends it, with the response. */
  endRequest(request: FastifyRequest, reply: FastifyReply): void {
    const found = this.#requests.get(request);
    if (found === undefined) return;
    found.span.setAttribute("http.response.status_code", reply.statusCode);
    if (reply.statusCode >= 500) found.span.setStatus({ code: SpanStatusCode.ERROR });
    found.span.end();
    this.#requests.delete(request);
  }

  /** Begins the span of an answer within its request. */
  beginAnswer(
    request: FastifyRequest,
    { tier, maxTokens, temperature, topP, seed }: RoutedOptions,
  ): AnswerSpan {
    const asked: Attributes = {
      "gen_ai.operation.name": "chat",
      "gen_ai.request.model": tier ?? "auto",
      ...(maxTokens !== undefined && { "gen_ai.request.max_tokens": maxTokens }),
      ...(temperature !== undefined && { "gen_ai.request.temperature": temperature }),
      ...(topP !== undefined && { "gen_ai.request.top_p": topP }),
      ...(seed !== undefined && { "gen_ai.request.seed": seed }),
    };
    const parent = this.#requests.get(request)?.context ?? activeContext.active();
    const span = tracer().startSpan(`chat ${tier ?? "auto"}`, { attributes: asked }, parent);
    return {
      answered: (result) => {
        span.setAttributes(attributesOf(result));
        span.end();
      },
      failed: (code) => {
        span.setAttribute("error.type", code);
        span.setStatus({ code: SpanStatusCode.ERROR });
        span.end();
      },
    };
  }
}

/** Asked for anew each time, as a provider may be registered late. */
function tracer() {
  return trace.getTracer("air-runtime");
}

function attributesOf(result: RoutedResult): Attributes {
  const { tier, decision, promptTokens, reusedTokens, finishReason, timings, attempts, speculative } = result;
  return {
    "gen_ai.response.model": tier,
    "gen_ai.response.finish_reasons": [finishReason],
    "gen_ai.usage.input_tokens": promptTokens,
    "gen_ai.usage.output_tokens": completionTokens(result),
    "air.reused_tokens": reusedTokens,
    "air.route.reason": decision.reason,
    "air.route.score": decision.score,
    "air.attempts": attempts.length,
    "air.time_to_first_token_ms": timings.timeToFirstTokenMs,
    "air.decode_tokens_per_second": timings.decodeTokensPerSecond,
    ...(speculative !== undefined && {
      "air.drafted_tokens": speculative.drafted,
      "air.accepted_tokens": speculative.accepted,
    }),
  };
}
