import type { RouteHandlerMethod } from "fastify";

import type { RoutedOptions } from "../tiers/runtime-types.js";
import { type AnswerJob, sendAnswers, type WantedChoice } from "./answering.js";
import { toChatPrompt } from "./chat-prompt.js";
import { chatSchema, completionSchema } from "./chat-schema.js";
import { ChatChoice, TextChoice } from "./choice-writer.js";
import { invalidRequest } from "./http-errors.js";
import { parseBody } from "./parse-body.js";
import { requestTerms } from "./request-terms.js";
import { type SamplingRequest, samplingOptions } from "./sampling-schema.js";
import type { ServerContext } from "./server-context.js";

/** @throws {ApiError} 400 */
function checkChoices(context: ServerContext, count: number, param: string): void {
  const { maxChoices } = context.options;
  if (count <= maxChoices) return;
  throw invalidRequest(`expected at most ${maxChoices} answers for ${param} but received ${count}`, param);
}

/** Options that go beyond what chat and text completions share. */
function optionsFor(
  request: SamplingRequest,
  choice: number,
  more: { readonly [Name in keyof RoutedOptions]?: RoutedOptions[Name] | undefined },
): RoutedOptions {
  const given = Object.fromEntries(Object.entries(more).filter(([, value]) => value !== undefined));
  return { ...samplingOptions(request, choice), ...given };
}

/** POST /v1/chat/completions. */
export function chatHandler(context: ServerContext): RouteHandlerMethod {
  return async (httpRequest, reply) => {
    const request = parseBody(chatSchema, httpRequest.body);
    const { n = 1, logprobs = false, top_logprobs: topLogprobs = 0 } = request;
    if (topLogprobs > 0 && !logprobs) {
      throw invalidRequest("expected logprobs for top_logprobs but received none", "top_logprobs");
    }
    checkChoices(context, n, "n");
    const tier = context.tierOf(request.model);
    const prompt = toChatPrompt(request);
    const { messages, tools, toolUse, schema } = prompt;
    const asked = request.max_completion_tokens ?? request.max_tokens;
    const maxTokens = context.maxTokens(
      asked,
      request.max_completion_tokens === undefined ? "max_tokens" : "max_completion_tokens",
    );
    context.checkPrompt(messages, tools, tier, "messages");
    const more = {
      ...{ tier, maxTokens, schema, ...requestTerms(context, httpRequest, request) },
      tools: tools.length > 0 ? tools : undefined,
      logprobs: logprobs ? topLogprobs : undefined,
    };
    const choices = Array.from({ length: n }, (_, index): WantedChoice => ({
      input: messages,
      options: optionsFor(request, index, more),
      writer: new ChatChoice(index, toolUse, logprobs),
    }));
    const job: AnswerJob = {
      ...{ object: "chat.completion", chunkObject: "chat.completion.chunk", idPrefix: "chatcmpl" },
      ...{ request, choices, choicesPerPrompt: n },
    };
    return sendAnswers(context, reply, job);
  };
}

/** POST /v1/completions. */
export function completionHandler(context: ServerContext): RouteHandlerMethod {
  return async (httpRequest, reply) => {
    const request = parseBody(completionSchema, httpRequest.body);
    const { n = 1, prompt, logprobs, echo = false, best_of: bestOf = n, suffix = "" } = request;
    if (bestOf !== n)
      throw invalidRequest(`expected ${n} (as n) for best_of but received ${bestOf}`, "best_of");
    if (suffix !== "") {
      throw invalidRequest("expected no suffix but received one", "suffix", "unsupported_value");
    }
    const prompts = typeof prompt === "string" ? [prompt] : prompt;
    checkChoices(context, n * prompts.length, prompts.length > 1 ? "prompt" : "n");
    const tier = context.tierOf(request.model);
    const maxTokens = context.maxTokens(request.max_tokens, "max_tokens");
    const more = { tier, maxTokens, logprobs, ...requestTerms(context, httpRequest, request) };
    const choices = prompts.flatMap((input, place) => {
      context.checkPrompt(input, [], tier, "prompt");
      return Array.from({ length: n }, (_, index): WantedChoice => ({
        input,
        options: optionsFor(request, index, more),
        writer: new TextChoice(place * n + index, echo ? input : "", logprobs !== undefined),
      }));
    });
    const object = "text_completion";
    const job: AnswerJob = {
      ...{ object, chunkObject: object, idPrefix: "cmpl" },
      ...{ request, choices, choicesPerPrompt: n },
    };
    return sendAnswers(context, reply, job);
  };
}
